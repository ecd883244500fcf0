#!/usr/bin/env bash
# Takes a project through its whole life on real tools: create, clone, change, push, build, test, image, deploy, answer.
# The service keeps running afterwards, with its data in .data/demo; demo.sh stop ends it and what it deployed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

data=$root/.data/demo
# a demo that runs keeps its port
port=${DEMO_PORT:-$(cat "$data/port" 2>/dev/null || echo 3004)}
server=http://127.0.0.1:$port
export XDG_CONFIG_HOME=$data/client DEVMENTOR_SERVER=$server
unset DEVMENTOR_TOKEN DEVMENTOR_PROJECT
devmentor() { "$root/target/release/devmentor" "$@"; }

step() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
# show COMMAND...: says what is done, and does it
show() { printf '\033[2m$ %s\033[0m\n' "$*" >&2; "$@"; }

if [ "${1:-}" = stop ]; then
  [ -f "$data/server.pid" ] || fail "no demo runs here"
  for project in $(devmentor project list --namespace demo --limit 1000 --json | sed -n 's/^    "path": "\(.*\)",*$/\1/p'); do
    for environment in $(devmentor environment list --project "$project" --json | sed -n 's/^    "name": "\(.*\)",*$/\1/p'); do
      devmentor environment delete "$environment" --project "$project"
    done
  done
  # what was deleted ends by itself, given a moment
  sleep 3
  stop "$(cat "$data/server.pid")"
  rm -f "$data/server.pid" "$data/port"
  exit
fi

step "1. The service"
mkdir -p "$data"
chmod 700 "$data"
if [ -f "$data/server.pid" ] && kill -0 "$(cat "$data/server.pid")" 2>/dev/null && curl -fsS "$server/health" >/dev/null 2>&1; then
  say "It already answers on $server."
else
  if curl -fsS "$server/health" >/dev/null 2>&1; then fail "something else answers on $server; stop it, or set DEMO_PORT"; fi
  DEVMENTOR_SERVER='' DEVMENTOR_LISTEN=127.0.0.1:$port DEVMENTOR_DATA_DIR=$data/server \
    setsid nohup "$root/target/release/devmentor" serve >"$data/server.log" 2>&1 </dev/null &
  echo $! >"$data/server.pid"
  echo "$port" >"$data/port"
  wait_for 30 curl -fsS "$server/health" || { cat "$data/server.log" >&2; fail "the service did not start"; }
  say "It answers on $server."
fi

step "2. Sign in"
if ! devmentor whoami >/dev/null 2>&1; then
  link=$(grep -o 'http[^ ]*/sign-in?link=[^ ]*' "$data/server.log" | tail -n 1) ||
    fail "no sign-in link in $data/server.log; remove $data to begin anew"
  # the link is good for once; with a password the pages can be opened, too
  (umask 077 && head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$data/password")
  show devmentor login --link "$link" --new-password-stdin <"$data/password"
fi
devmentor whoami
user=$(devmentor whoami --json | sed -n 's/^  "name": "\(.*\)",*$/\1/p')
if ! devmentor group list | grep -q '^demo '; then show devmentor group create demo --description "What make demo creates"; fi

step "3. A project from a template"
if have go; then template=go-http source=internal/greet/greet.go; else template=rust-http source=src/lib.rs; fi
project=demo/hello-$(date +%m%d-%H%M%S)
show devmentor project create "$project" --template "$template" --param greeting=Hello --description "The demo"

step "4. Clone it, change it, push it"
work=$(mktemp -d "${TMPDIR:-/tmp}/devmentor-demo.XXXXXX")
trap 'rm -rf "$work"' EXIT
DEMO_TOKEN=$(devmentor token create "demo $project" --permission repository:read --permission repository:write --quiet)
export DEMO_TOKEN
helper='!f() { echo username=token; echo "password=$DEMO_TOKEN"; }; f'
show git -c credential.helper="$helper" clone --quiet "$server/$project.git" "$work/hello"
cd "$work/hello"
git config user.name "Demo"
git config user.email demo@example.invalid
sed -i 's/"Hello"/"Good day"/' "$source"
show git commit --quiet --all --message "Say good day"
commit=$(git rev-parse HEAD)
show git -c credential.helper="$helper" push --quiet origin HEAD

step "5. The run of that push, live"
run=
for _ in $(seq 100); do
  run=$(devmentor run list --commit "$commit" --limit 1 --json | sed -n 's/^    "id": "\(run_[^"]*\)".*/\1/p')
  [ -z "$run" ] || break
  sleep 0.1
done
[ -n "$run" ] || fail "the push started no run; see: devmentor run list --project $project"
show devmentor run watch "$run" || { devmentor run log "$run" >&2; fail "the run failed"; }
show devmentor run tests "$run"

step "6. Its image"
show devmentor image list

step "7. Its deployment"
show devmentor environment list
address=$(devmentor environment list --json | sed -n 's/^    "url": "\(http[^"]*\)".*/\1/p' | head -n 1)
[ -n "$address" ] || fail "nothing is deployed"
show curl -fsS "$address/health"
echo
show curl -fsS "$address/?name=Ada" | tee "$work/answer"
grep -q "Good day, Ada" "$work/answer" || fail "that is not the pushed version"

step "It keeps running"
cat >&2 <<END
  page:         $server/$project
  sign in:      $user, password $(cat "$data/password" 2>/dev/null || echo "as you set it")
  application:  $address
  log:          $data/server.log
  stop:         make demo-stop
END
