#!/bin/sh
# Starts the job and its database with Docker Compose, shows the job's log, and ends with the job's exit code.
# POSIX sh; needs nothing but Docker.
set -eu

usage() {
  cat <<'END'
usage: sh run-ingestion.sh

Takes the data set of the API into PostgreSQL, in two containers: assignment-ingestion and assignment-postgres.
The key of the API comes from TARGET_API_KEY, in the environment or the file .env.
Ctrl-C ends the watching; the job goes on.

  POSTGRES_HOST_PORT   port of PostgreSQL on this machine (default 5434)
  HTTP_HOST_PORT       port of the live page, /metrics and /health on this machine (default 8080)

Exit codes are the job's: 0 complete and checked, 1 unexpected, 2 something is missing or wrong here, 3 key refused,
4 gave up and can be resumed, 5 something is missing or too much was rejected, 6 another run works on this source,
143 the job was stopped, 137 it was killed. 130: Ctrl-C.
END
}

JOB=assignment-ingestion

say() { printf '%s\n' "$@"; }
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

# What Docker Compose reads from .env it expands, and a key with a $ would arrive as another one: it gets .env without the key.
compose() { docker compose --env-file "$work/env" "$@"; }
inspect() { docker inspect --format "$1" "$JOB" 2>/dev/null; }

# True of a job that has ended and only goes on serving its page. One that follows may show a code, and goes on.
has_ended() {
  docker exec "$JOB" node -e "fetch('http://127.0.0.1:' + process.env.HTTP_PORT + '/health').then((answer) => answer.json())
    .then((health) => process.exit(health.phase === 'ended' ? 0 : 1))" >/dev/null 2>&1
}

# Shows the log of the start at $1 to its end, and sets code to the exit code that the log says.
follow() {
  docker logs --follow --since "$1" "$JOB" >"$work/log" 2>&1 &
  logs=$!
  docker run --rm --interactive --init --network none --log-driver none "$(inspect '{{.Image}}')" show-log <"$work/log" &
  reader=$!
  code=0
  wait "$reader" || code=$?
  reader=''
  # After a job that goes on serving, Docker would wait for further lines.
  kill "$logs" 2>/dev/null || true
}

leave() {
  trap '' HUP INT TERM
  [ -z "$reader" ] || kill "$logs" "$reader" 2>/dev/null || true
  rm -rf "${work:-}"
}
interrupted() {
  say '' "The job goes on in the container $JOB, if it was started." \
    '  watch it again:  sh run-ingestion.sh' \
    '  stop it:         docker compose stop ingestion      (the next start goes on where it was)'
  exit "$1"
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

cd "$(dirname "$0")"
command -v docker >/dev/null 2>&1 ||
  fail 2 'Docker is not installed. How to get it: https://docs.docker.com/engine/install/' \
    'Without Docker: npm ci && npm start -- --concurrency 8'
why=$(docker info 2>&1 >/dev/null) ||
  fail 2 "Docker does not answer: $why" \
    'Start it (sudo systemctl start docker, or Docker Desktop), or join its group: sudo usermod -aG docker YOUR_USER'
docker compose version >/dev/null ||
  fail 2 'Docker Compose version 2 is missing. How to get it: https://docs.docker.com/compose/install/linux/'
TARGET_API_KEY=$(setting TARGET_API_KEY)
export TARGET_API_KEY
[ -n "$TARGET_API_KEY" ] ||
  fail 2 'There is no API key. Put it into the file .env: echo "TARGET_API_KEY=your_api_key_here" > .env' \
    'To look around without a key: docker compose --profile demo up ingestion-demo'
# The job says at the level info that it has ended.
case $(setting LOG_LEVEL) in
trace | debug) ;;
*) export LOG_LEVEL=info ;;
esac

reader=''
trap leave EXIT
trap 'interrupted 129' HUP
trap 'interrupted 130' INT
trap 'interrupted 143' TERM
work=$(mktemp -d "${TMPDIR:-/tmp}/run-ingestion.XXXXXX")
mkfifo "$work/log"
{ [ ! -f .env ] || sed '/TARGET_API_KEY/d' .env; } >"$work/env"

recreate=''
if has_ended; then
  say 'The last run has ended: starting a new one.'
  recreate=--force-recreate
fi
say 'Starting PostgreSQL and the job (the first time, images are fetched and built) ...'
compose up --detach --build ${recreate:+"$recreate"} ingestion ||
  fail 2 'Docker Compose could not start the services; the reason is above.' \
    'Where a port is taken, choose others: POSTGRES_HOST_PORT=5435 HTTP_HOST_PORT=8088 sh run-ingestion.sh' \
    'Where a container of that name is there already, of something else: docker ps --all' \
    'What PostgreSQL says: docker logs assignment-postgres'
say "Live page: http://$(compose port ingestion 8080)/   Ctrl-C ends the watching, not the job."

# Docker starts a job again that failed: this goes on until a start has ended, and no other comes after it.
followed='' code=1
while state=$(inspect '{{.State.Status}} {{.State.StartedAt}}'); do
  case $state in
  restarting*) sleep 1 ;;
  # It has ended and serves its page: the code is what its log says.
  "$followed") break ;;
  running*)
    [ -z "$followed" ] || say 'The job failed; Docker has started it again.'
    followed=$state
    follow "${state#* }"
    ;;
  *)
    code=$(inspect '{{.State.ExitCode}}')
    break
    ;;
  esac
done

case $code in
0)
  say 'The ids:              docker exec assignment-ingestion npm run export-ids && docker cp assignment-ingestion:/app/event_ids.txt .' \
    'What was unusual:     docker exec assignment-ingestion npm run anomalies'
  ;;
143) fail 143 'The job was stopped before it was complete. sh run-ingestion.sh goes on with it.' ;;
137) fail 137 'The job was killed, by hand or because there was no memory left. sh run-ingestion.sh goes on with it.' ;;
*) fail "$code" "The job ended with code $code; its last line says why, and what to do. What was loaded is safe." ;;
esac
