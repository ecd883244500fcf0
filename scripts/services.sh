# Sourced by test.sh and the benchmarks: starts PostgreSQL, Redis and Docker for the tests, and ends by pid what it started.
# Gives TEST_DATABASE_URL, TEST_REDIS_URL, and TEST_NO_DOCKER with the reason where Docker cannot run.

services=$(mktemp -d "${TMPDIR:-/tmp}/devmentor-test.XXXXXX")
chmod 755 "$services"
started=()

end_services() {
  local pid
  for pid in "${started[@]}"; do stop "$pid"; done
  rm -rf "$services"
}

# as_postgres COMMAND...: PostgreSQL refuses to run as root
as_postgres() {
  if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

start_postgres() {
  local bin port data=$services/postgres
  bin=$(compgen -G "/usr/lib/postgresql/*/bin" | sort -V | tail -n 1)
  port=$(free_port)
  mkdir "$data"
  if [ "$(id -u)" = 0 ]; then chown postgres "$data"; fi
  # what is tested is our own durability, not PostgreSQL's
  (cd "$data" && as_postgres "$bin/initdb" -D "$data/db" -U test -A trust -E UTF8 --locale=C.UTF-8 --no-sync) >"$services/initdb.log" 2>&1 ||
    { cat "$services/initdb.log" >&2; return 1; }
  (cd "$data" && as_postgres "$bin/pg_ctl" -D "$data/db" -w -t 60 -l "$data/log" \
    -o "-p $port -k $data -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off -c max_connections=400" start) >"$services/pg_ctl.log" 2>&1 ||
    { cat "$services/pg_ctl.log" "$data/log" >&2; return 1; }
  started+=("$(head -n 1 "$data/db/postmaster.pid")")
  export TEST_DATABASE_URL=postgres://test@127.0.0.1:$port/postgres
}

start_redis() {
  local port
  port=$(free_port)
  redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$services" >"$services/redis.log" 2>&1 &
  started+=($!)
  wait_for 20 redis-cli -p "$port" ping || { cat "$services/redis.log" >&2; return 1; }
  export TEST_REDIS_URL=redis://127.0.0.1:$port
}

# start_docker: uses an engine that answers; else starts one as root; else says why there is none
start_docker() {
  unset TEST_NO_DOCKER
  if docker info >/dev/null 2>&1; then return 0; fi
  local log=$services/dockerd.log
  if [ "$(id -u)" != 0 ]; then
    export TEST_NO_DOCKER="no Docker engine answers, and starting one needs root"
  elif ! have dockerd; then
    export TEST_NO_DOCKER="there is no dockerd"
  else
    dockerd --pidfile "$services/dockerd.pid" >"$log" 2>&1 &
    local pid=$!
    if wait_for 60 docker info; then
      started+=("$pid")
      return 0
    fi
    stop "$pid"
    export TEST_NO_DOCKER="dockerd does not start on this machine: $(grep -iE 'level=(fatal|error)|failed' "$log" | tail -n 1 | cut -c1-300)"
  fi
  say "This machine cannot run Docker, so what needs it is not tested: $TEST_NO_DOCKER"
}
