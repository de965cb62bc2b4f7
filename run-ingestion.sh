#!/bin/sh
# Starts the job and its database with Docker Compose, shows what the job says, and ends when the job ends.
# POSIX sh; needs nothing but Docker.
set -eu

usage() {
  cat <<'END'
usage: sh run-ingestion.sh

Takes the data set of the API into PostgreSQL, in two containers: assignment-ingestion and assignment-postgres.
The key of the API comes from TARGET_API_KEY, in the environment or in the file .env.
Ctrl-C ends the watching; the job goes on.

  POSTGRES_HOST_PORT   port of PostgreSQL on this machine (default 5434)
  HTTP_HOST_PORT       port of the live page, /metrics and /health on this machine (default 8080)
  QUIET_AFTER          seconds without a word from the job after which this script gives up (default 900)
  DOCKER_PATIENCE      seconds that Docker may take to say that it is there (default 60)

Exit codes are the job's: 0 complete and checked, 1 unexpected, 2 something is missing or wrong here, 3 key refused,
4 gave up and can be resumed, 5 something is missing or too much was rejected, 6 another run works on this database,
130 Ctrl-C.
END
}

JOB=assignment-ingestion
QUIET_AFTER=${QUIET_AFTER:-900}
# Docker starts a failed job again by itself; after so many failures it is stopped.
MAX_FAILURES=3
DOCKER_PATIENCE=${DOCKER_PATIENCE:-60}

say() { printf '%s\n' "$*"; }
fail() {
  code=$1
  shift
  printf 'run-ingestion: %s\n' "$@" >&2
  exit "$code"
}

# A setting from the environment, else from .env, which is read and never executed.
setting() {
  eval "value=\${$1:-}"
  if [ -z "$value" ] && [ -f .env ]; then
    value=$(sed -n "s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$1[[:space:]]*=[[:space:]]*//p" .env | tail -n 1 |
      sed -e "/^[\"']/!s/[[:space:]]#.*\$//" -e "s/[[:space:]]*\$//" -e "s/^\"\(.*\)\"\$/\1/" -e "s/^'\(.*\)'\$/\1/")
  fi
  printf '%s' "$value"
}

# Runs a command that must end by itself: a Docker that hangs must not make this script hang.
within() {
  patience=$1
  shift
  "$@" >"$work/out" 2>&1 &
  running=$!
  end_after "$patience" "$running" >/dev/null 2>&1 &
  watchdog=$!
  code=0
  wait "$running" || code=$?
  end "$watchdog"
  watchdog=''
  [ "$code" -le 128 ] || echo "no answer in $patience s" >>"$work/out"
  return "$code"
}
# Not by TERM: between its fork and its first command a shell drops a signal that its parent traps, and a watchdog that
# outlives this script would end in the name of $2 whoever has that number by then. A shell's word on the end is dropped.
end() {
  kill -KILL "$1" || true
  wait "$1" || true
} 2>/dev/null
# In steps of a second: what a killed shell leaves behind is one short sleep.
end_after() {
  left=$1
  while [ "$left" -gt 0 ]; do
    sleep 1
    left=$((left - 1))
  done
  kill "$2"
}

inspect() { docker inspect --format "$1" "$JOB" 2>/dev/null || true; }

# The first value of a field in a JSON line.
field() { printf '%s\n' "$2" | sed -n "s/^.*[{,]\"$1\":\"\{0,1\}\([^\",}]*\).*\$/\1/p"; }

# The text of a field, quotes and all that is escaped.
text() {
  printf '%s\n' "$2" | awk -v key="\"$1\":\"" '{
    at = index($0, key)
    if (at == 0) exit
    rest = substr($0, at + length(key))
    while (match(rest, /[\\"]/)) {
      found = substr(rest, RSTART, 1)
      out = out substr(rest, 1, RSTART - 1)
      if (found == "\"") { print out; exit }
      escaped = substr(rest, RSTART + 1, 1)
      out = out (escaped == "n" || escaped == "t" ? " " : escaped)
      rest = substr(rest, RSTART + 2)
    }
  }'
}

# One line of the job for people: time, level where it is not info, message, and the other fields as they are.
show() {
  case $1 in
  '{'*'"msg":"'*)
    time=$(field time "$1" | sed 's/^.*T\([0-9:]*\).*$/\1/')
    level=$(field level "$1")
    [ "$level" = info ] && level='' || level=" $level:"
    rest=$(printf '%s\n' "$1" | sed -e 's/^{"level":"[a-z]*","time":"[^"]*",\{0,1\}//' -e 's/,\{0,1\}"msg":".*$//' \
      -e 's/^"\([A-Za-z_]*\)":/\1=/' -e 's/,"\([A-Za-z_]*\)":/ \1=/g' -e 's/"//g')
    say "$time$level $(text msg "$1")${rest:+  ($rest)}"
    ;;
  *) say "$1" ;;
  esac
}

stop_watching() {
  [ -z "${watchdog:-}" ] || end "$watchdog"
  [ -z "${follower:-}" ] || end "$follower"
  follower='' watchdog=''
}
tidy() {
  stop_watching
  [ -z "${work:-}" ] || rm -rf "$work"
}
interrupted() {
  trap '' INT TERM
  say ''
  if [ -n "${started:-}" ]; then
    say "The job goes on in the container $JOB."
    say "  watch it again:  sh run-ingestion.sh      (or: docker logs --follow $JOB)"
    say '  stop it:         docker compose stop ingestion      (the next start goes on where it was)'
  else
    say 'Stopped before the job was started.'
  fi
  exit 130
}

case ${1:-} in
'') ;;
-h | --help)
  usage
  exit 0
  ;;
*)
  usage >&2
  exit 2
  ;;
esac

for name in QUIET_AFTER DOCKER_PATIENCE; do
  eval "seconds=\$$name"
  case $seconds in
  '' | 0 | *[!0-9]*) fail 2 "$name takes a whole number of seconds, got $seconds" ;;
  esac
done

cd "$(dirname "$0")"
work=$(mktemp -d "${TMPDIR:-/tmp}/run-ingestion.XXXXXX")
trap tidy EXIT
trap interrupted INT TERM

command -v docker >/dev/null 2>&1 ||
  fail 2 'Docker is not installed. How to get it: https://docs.docker.com/engine/install/' \
    'Without Docker: npm ci && npm start -- --concurrency 8'
within "$DOCKER_PATIENCE" docker info ||
  fail 2 "Docker does not answer: $(tail -n 1 "$work/out")" \
    'Start it (sudo systemctl start docker, or Docker Desktop), or join its group: sudo usermod -aG docker YOUR_USER'
within "$DOCKER_PATIENCE" docker compose version ||
  fail 2 'Docker Compose version 2 is missing. How to get it: https://docs.docker.com/compose/install/linux/'
# Handed on from here: what Docker Compose reads from .env it expands, and a key with a $ would arrive as another one.
TARGET_API_KEY=$(setting TARGET_API_KEY)
export TARGET_API_KEY
[ -n "$TARGET_API_KEY" ] ||
  fail 2 'There is no API key. Put it into the file .env: echo "TARGET_API_KEY=your_api_key_here" > .env' \
    'To look around without a key: docker compose --profile demo up ingestion-demo'

# What is watched for here is said at the level info.
case $(setting LOG_LEVEL) in
warn | error | fatal | silent)
  LOG_LEVEL=info
  export LOG_LEVEL
  ;;
esac

# Whether the start of the job that the container is in has ended; with KEEP_SERVING it goes on serving its page then.
has_ended() {
  docker logs --tail 100 --since "$(inspect '{{.State.StartedAt}}')" "$JOB" 2>&1 |
    grep -q -e '"exit_code":' -e '"msg":"ingestion complete"'
}

recreate=''
if [ "$(inspect '{{.State.Running}}')" = true ]; then
  if has_ended; then
    say 'The last run has ended: starting a new one.'
    recreate=--force-recreate
  else
    say 'The job is running already: watching it.'
  fi
fi

say 'Starting PostgreSQL and the job (the first time, images are fetched and built) ...'
docker compose up --detach --build ${recreate:+"$recreate"} ingestion ||
  fail 2 'Docker Compose could not start the services; the reason is above.' \
    'Where a port is taken, choose others: POSTGRES_HOST_PORT=5435 HTTP_HOST_PORT=8088 sh run-ingestion.sh' \
    'Where a container of that name is there already, of something else: docker ps --all' \
    'What PostgreSQL says: docker logs assignment-postgres'
started=yes
say "Live page: http://127.0.0.1:$(p=$(setting HTTP_HOST_PORT) && printf '%s' "${p:-8080}")/   Ctrl-C ends the watching, not the job."

report() {
  say ''
  say "Complete: $(field events "$1") events taken, each in PostgreSQL once."
  say "  proof: $(text proof_text "$1")"
  say "  inserted $(field inserted "$1"), updated $(field updated "$1"), duplicates $(field duplicates "$1")," \
    "rejected $(field rejected "$1"), repaired $(field repaired "$1")"
  [ "$(field rejected "$1")" = 0 ] || say '  why some were rejected: docker exec assignment-ingestion npm run anomalies'
  say "  $(field pages "$1") pages, $(field requests "$1") requests, $(field seconds "$1") s, $(field events_per_second "$1") events/s"
  say 'The ids: docker exec assignment-ingestion npm run export-ids && docker cp assignment-ingestion:/app/event_ids.txt .'
  exit 0
}

# Follows one start of the job; returns when it has ended or its container has.
follow() {
  since=$(inspect '{{.State.StartedAt}}')
  ending='' reason=''
  rm -f "$work/lines" "$work/quiet" && mkfifo "$work/lines"
  echo 0 >"$work/count"
  docker logs --follow --since "$since" "$JOB" >"$work/lines" 2>&1 &
  follower=$!
  watch_silence "$follower" >/dev/null 2>&1 &
  watchdog=$!
  count=0
  while IFS= read -r line; do
    count=$((count + 1))
    echo "$count" >"$work/count"
    show "$line"
    case $line in
    *'"exit_code":'* | *'"msg":"ingestion complete"'*)
      ending=$line
      break
      ;;
    *'"level":"error"'* | *'"level":"fatal"'*) reason=$(text msg "$line") ;;
    '{'*) ;;
    # Settings that cannot be used are named before there is a log.
    *) reason=$line ;;
    esac
  done <"$work/lines"
  stop_watching
}

watch_silence() {
  before=0 seconds=0
  while [ "$seconds" -lt "$QUIET_AFTER" ]; do
    sleep 1
    seconds=$((seconds + 1))
    now=$(cat "$work/count")
    [ "$now" = "$before" ] || { before=$now seconds=0; }
  done
  : >"$work/quiet"
  kill "$1"
}

# Waits for Docker to start the job again, at most a minute and a half: its own pause grows to one.
started_again() {
  tries=0
  while [ "$tries" -lt 90 ]; do
    case $(inspect '{{.State.Status}}') in
    running) [ "$(inspect '{{.State.StartedAt}}')" = "$since" ] || return 0 ;;
    restarting) ;;
    *) return 1 ;;
    esac
    sleep 1
    tries=$((tries + 1))
  done
  return 1
}

failures=0
while :; do
  follow
  case $ending in
  *'"msg":"ingestion complete"'*) report "$ending" ;;
  esac
  if [ -n "$ending" ]; then
    code=$(field exit_code "$ending")
    reason=$(text msg "$ending")
  elif [ -f "$work/quiet" ]; then
    fail 4 "The job has not said a word for $QUIET_AFTER s. It is left as it is." \
      "Look: docker logs --tail 50 $JOB    Stop: docker compose stop ingestion    Start again: sh run-ingestion.sh"
  else
    code=$(inspect '{{.State.ExitCode}}')
  fi
  case ${code:-1} in
  2 | 3 | 5)
    # Stays up for its page; if it cannot, another start would end the same way.
    [ -n "$ending" ] || docker compose stop ingestion >/dev/null 2>&1 || true
    fail "$code" "The job ended with code $code: ${reason:-no reason was logged}"
    ;;
  # Stopped by somebody: nothing will start it again.
  0 | 130 | 143) fail 143 'The job was stopped before it was complete. sh run-ingestion.sh goes on with it.' ;;
  137) reason='it was killed, by hand or because the machine had no memory left' ;;
  esac
  failures=$((failures + 1))
  if [ "$failures" -ge "$MAX_FAILURES" ]; then
    docker compose stop ingestion >/dev/null 2>&1 || true
    fail "${code:-1}" "The job failed $failures times and was stopped; the last time with code ${code:-1}: ${reason:-no reason was logged}" \
      'What was loaded is safe; sh run-ingestion.sh goes on with it.'
  fi
  started_again ||
    fail "${code:-1}" "The job ended with code ${code:-1}: ${reason:-no reason was logged}" \
      'What was loaded is safe; sh run-ingestion.sh goes on with it.'
  say "The job ended with code ${code:-1} and was started again by Docker ($failures of $((MAX_FAILURES - 1)))."
done
