#!/bin/sh
# Submits the list of event ids to the API. One of five submissions of a key is spent, so everything is checked before.
# POSIX sh; needs curl.
set -eu

usage() {
  cat <<'END'
usage: ./submit.sh [--yes] [--partial] [--file FILE] https://github.com/yourusername/your-repo
       ./submit.sh --status

Sends FILE (default event_ids.txt, one id a line) to API_BASE_URL with the key TARGET_API_KEY; both come from the
environment or the file .env. A key has five submissions: the file is checked first, and you are asked.

  --yes        do not ask
  --partial    send the list also when the run that it comes from is not finished, or not proven complete
  --file FILE  another file
  --status     lists earlier submissions and their receipts, which are kept under .data/submissions/

Exit codes: 0 sent and received, 1 not sent or not accepted, 2 usage, file or settings, 3 key refused,
4 no answer from the API, 5 the file and the database do not agree, 7 the run is not finished and --partial was not given.
END
}

DEFAULT_BASE_URL=https://datasync-api.example.com/api/v1
CONNECT_TIMEOUT=15
# A hundred megabytes over a slow line.
SEND_TIMEOUT=1800

say() { printf '%s\n' "$*"; }
fail() {
  code=$1
  shift
  printf 'submit: %s\n' "$@" >&2
  exit "$code"
}

# A setting from the environment, else from .env, which is read and never executed.
setting() {
  eval "value=\${$1:-}"
  if [ -z "$value" ] && [ -f "$home/.env" ]; then
    value=$(sed -n "s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$1[[:space:]]*=[[:space:]]*//p" "$home/.env" | tail -n 1 |
      sed -e "/^[\"']/!s/[[:space:]]#.*\$//" -e "s/[[:space:]]*\$//" -e "s/^\"\(.*\)\"\$/\1/" -e "s/^'\(.*\)'\$/\1/")
  fi
  printf '%s' "$value"
}

# Text with the key replaced wherever it stands; the key comes by the environment, where no other user can see it.
hide_key() {
  HIDE=$key awk '{
    out = ""
    while ((at = index($0, ENVIRON["HIDE"])) > 0) {
      out = out substr($0, 1, at - 1) "[hidden]"
      $0 = substr($0, at + length(ENVIRON["HIDE"]))
    }
    print out $0
  }'
}

# The value of a field of the answer, whatever its depth; texts without their quotes.
field() {
  tr -d '\000-\037' <"$work/answer" | sed -n -e "s/^.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*\$/\1/p" \
    -e "s/^.*\"$1\"[[:space:]]*:[[:space:]]*\([0-9][0-9]*\).*\$/\1/p" | hide_key
}

# What the container's database says of the source: the rows of its table, and in a second line whether its newest run is
# finished, and no row is gone that it left (true, false). A round of --follow is no such run: it proves nothing.
# Nothing when it cannot be asked; no second line when no run is recorded. A run of version 1.0.0 has no column
# proof, and no source: all of them are of datasync, which is source 1.
ask_container() {
  command -v docker >/dev/null 2>&1 || return 0
  case $source in
  datasync) table=ingested_events number=1 ;;
  *) table=$(printf '%s' "$source" | tr - _) number="(SELECT source_id FROM ingestion.source WHERE name = '$source')" ;;
  esac
  rows="SELECT count(*) FROM public.\"$table\""
  is_its="coalesce((to_jsonb(r) ->> 'source_id')::int, 1) = $number"
  is_round="coalesce(to_jsonb(r) ->> 'begun_by' IN ('new-events', 'lookback'), false)"
  finished="SELECT CASE WHEN status = 'complete' AND to_jsonb(r) -> 'proof' ->> 'kind' IN ('count', 'api-end')
    AND ($rows) >= coalesce((SELECT rows FROM ingestion.target_rows r WHERE $is_its), 0)
    THEN 'true' ELSE 'false' END FROM ingestion.run r WHERE $is_its AND NOT $is_round ORDER BY run_id DESC LIMIT 1"
  docker exec assignment-postgres psql -X -A -t -U postgres -d ingestion -c "$rows" -c "$finished" 2>/dev/null </dev/null || true
}

# The same of the database that this project's commands use without Docker.
ask_without_docker() {
  [ -d "$home/node_modules" ] && command -v npm >/dev/null 2>&1 || return 0
  report=$( (cd "$home" && npm run --silent status -- --json 2>/dev/null </dev/null) | tr -d '\n')
  printf '%s\n' "$report" | sed -n 's/^.*"rows":[[:space:]]*\([0-9][0-9]*\).*$/\1/p'
  printf '%s\n' "$report" | sed -n 's/^.*"finished":[[:space:]]*\([a-z]*\).*$/\1/p'
}
# Of what was said: the count, if there is one, and whether the run is finished.
count_in() { printf '%s\n' "$1" | sed -n '1s/^\([0-9][0-9]*\)$/\1/p'; }
is_finished() { [ "$(printf '%s\n' "$1" | sed -n 2p)" = true ]; }

status() {
  if [ ! -s "$receipts/log.tsv" ]; then
    say "No submission has been made from here ($receipts)."
    return
  fi
  awk -F '\t' 'BEGIN { printf "%-20s  %-6s  %10s  %-9s  %s\n", "time (UTC)", "answer", "ids", "remaining", "repository" }
    { printf "%-20s  %-6s  %10s  %-9s  %s\n", $1, $2, $3, $4, $5 }' "$receipts/log.tsv"
  say "Receipts: $receipts"
}

home=$(cd "$(dirname "$0")" && pwd)
receipts=$home/.data/submissions
yes='' partial='' file=event_ids.txt repository=''
while [ $# -gt 0 ]; do
  case $1 in
  -h | --help)
    usage
    exit 0
    ;;
  --status)
    status
    exit 0
    ;;
  --yes) yes=1 ;;
  --partial) partial=1 ;;
  --file)
    [ $# -ge 2 ] || fail 2 '--file needs the name of a file'
    file=$2
    shift
    ;;
  -*) fail 2 "unknown option $1; ./submit.sh --help lists what there is" ;;
  *)
    [ -z "$repository" ] || fail 2 "one repository at a time, got $repository and $1"
    repository=$1
    ;;
  esac
  shift
done
if [ -z "$repository" ]; then
  usage >&2
  exit 2
fi
case $repository in
http://*[!A-Za-z0-9._~:/@%-]* | https://*[!A-Za-z0-9._~:/@%-]*) fail 2 "the repository's address has characters that do not belong there: $repository" ;;
http://?* | https://?*) ;;
*) fail 2 "expected the address of a repository, like https://github.com/yourusername/your-repo, got $repository" ;;
esac

command -v curl >/dev/null 2>&1 || fail 2 'curl is not installed. On Debian and Ubuntu: sudo apt-get install curl'
key=$(setting TARGET_API_KEY)
[ -n "$key" ] || fail 2 'There is no API key. Put it into the file .env: echo "TARGET_API_KEY=your_api_key_here" > .env'
base=$(setting API_BASE_URL)
base=${base:-$DEFAULT_BASE_URL}
base=${base%/}
source=$(setting SOURCE_NAME)
source=${source:-datasync}
case $source in *[!a-z0-9_-]*) fail 2 "SOURCE_NAME: expected small letters, digits, - and _, got $source" ;; esac

[ -f "$file" ] || fail 2 "there is no file $file" \
  'How to make it: docker exec assignment-ingestion npm run export-ids && docker cp assignment-ingestion:/app/event_ids.txt .' \
  'or, without Docker: npm run export-ids'
[ -s "$file" ] || fail 2 "the file $file is empty"

work=$(mktemp -d "${TMPDIR:-/tmp}/submit.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
LC_ALL=C
export LC_ALL

say "Checking $file ..."
ids=$(grep -c '' "$file")
! grep -q '^$' "$file" || fail 2 "the file $file has empty lines, first in line $(grep -n '^$' "$file" | head -n 1 | cut -d : -f 1)"
! grep -q "$(printf '\r')" "$file" || fail 2 "the file $file has Windows line ends; make it again with export-ids"
sort -T "$work" "$file" | uniq -d >"$work/doubled"
[ ! -s "$work/doubled" ] || fail 2 "$(grep -c '' "$work/doubled") ids occur more than once in $file, for example $(head -n 1 "$work/doubled")"
rm -f "$work/doubled"

# There may be two databases, one of them of another day: the file must agree with either.
said=$(ask_container)
contained=$(count_in "$said") other=''
if [ "$contained" != "$ids" ]; then
  said=$(ask_without_docker)
  other=$(count_in "$said")
fi
case $ids in
"$contained" | "$other")
  say "  $ids distinct ids, as many as rows in the database"
  # --yes answers the question below. It does not say that a part of the ids is wanted.
  if ! is_finished "$said"; then
    [ -n "$partial" ] ||
      fail 7 'the run that these ids come from is not finished, or not proven complete, or rows are gone: ids may be missing' \
        'npm run status and npm run verify say which, npm start goes on with it. To send the ids as they are: --partial'
    say '  the run that they come from is not finished, or not proven complete, or rows are gone; sent as --partial'
  fi
  ;;
*)
  [ -z "$contained$other" ] ||
    fail 5 "$file has $ids ids, the database has ${contained:-$other} events${contained:+${other:+ (the one without Docker: $other)}}" \
      'Export the ids again, or see npm run verify.'
  say "  $ids distinct ids; no database could be asked for its count, nor whether these are all"
  ;;
esac

if [ -z "$yes" ]; then
  [ -t 0 ] || fail 2 'this spends one of the five submissions of the key: confirm with --yes, or run it in a terminal'
  printf 'Send %s ids for %s to %s? This spends one of five submissions. [y/N] ' "$ids" "$repository" "$base"
  read -r answer || answer=''
  case $answer in
  y | Y | yes | Yes | YES) ;;
  *) fail 1 'nothing was sent' ;;
  esac
fi

# --upload-file streams, byte for byte. The key goes in by standard input: command lines can be seen by everybody.
say "Sending to $base/submissions ..."
sent=$(date -u +%Y-%m-%dT%H:%M:%SZ)
outcome=0
http=$(printf 'header = "X-API-Key: %s"\n' "$(printf '%s' "$key" | sed 's/[\\"]/\\&/g')" |
  curl -q --config - --globoff --silent --show-error --request POST --upload-file "$file" \
    --header 'Content-Type: text/plain' --header 'Expect:' --connect-timeout "$CONNECT_TIMEOUT" --max-time "$SEND_TIMEOUT" \
    --output "$work/answer" --write-out '%{http_code}' "$base/submissions?github_repo=$repository" 2>"$work/error") || outcome=$?
[ -f "$work/answer" ] || : >"$work/answer"

# What is known is kept, also of a submission whose answer never came: it may have been counted.
umask 077
mkdir -p "$receipts"
receipt=$receipts/$(printf '%s' "$sent" | tr -d ':-')-$$.txt
hide_key <"$work/answer" >"$receipt"
log() { printf '%s\t%s\t%s\t%s\t%s\n' "$sent" "$1" "$ids" "${2:--}" "$repository" >>"$receipts/log.tsv"; }

if [ "$outcome" -ne 0 ]; then
  why=$(hide_key <"$work/error" | tail -n 1)
  case $outcome in
  5 | 6 | 7 | 35 | 60)
    rm -f "$receipt"
    fail 4 "the API cannot be reached: $why" 'Nothing was sent; check API_BASE_URL and the network, then run this again.'
    ;;
  *)
    log none
    fail 4 "no answer came: $why" 'The submission may have been received all the same: the next receipt says how many remain.'
    ;;
  esac
fi

message=$(field message)
[ -n "$message" ] || message=$(field error)
remaining=$(field remainingSubmissions)
log "$http" "$remaining"
case $http in
2??)
  received=$(field eventCount)
  say "Received: ${message:-the API answered $http}"
  say "  ids received: ${received:-not said}"
  say "  submissions that remain: ${remaining:-not said}"
  say "  receipt: $receipt"
  case $received in
  '' | "$ids") ;;
  *) fail 5 "the API counted $received ids, the file has $ids" ;;
  esac
  ;;
401 | 403) fail 3 "the API refused the key ($http): ${message:-no reason was given}" 'Check TARGET_API_KEY; a key works for three hours from its first use.' ;;
429) fail 1 "the API takes no more submissions ($http): ${message:-no reason was given}" ;;
5??)
  fail 4 "the API failed ($http): ${message:-no reason was given}" "Its answer: $receipt" \
    'The submission may have been received all the same: the next receipt says how many remain.'
  ;;
*) fail 1 "the API did not accept the list ($http): ${message:-no reason was given}" "Its answer: $receipt" ;;
esac
