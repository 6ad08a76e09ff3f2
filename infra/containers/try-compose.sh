#!/usr/bin/env bash
# usage: try-compose.sh API_ROOT WORKER_ROOT
# What compose.yaml starts, without a container engine: the commands of its head with the environment it gives each
# service, in the contents of both images, on one volume and in a network of their own. The worker is on the CPU.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
api_root=${1:?usage: try-compose.sh API_ROOT WORKER_ROOT}
worker_root=${2:?usage: try-compose.sh API_ROOT WORKER_ROOT}
# Others cannot reach a 0.0.0.0 in there.
[ "${GNOMON_OWN_NETWORK:-}" = 1 ] || GNOMON_OWN_NETWORK=1 exec unshare --net "$0" "$@"
ip link set lo up

work=$(mktemp -d)
mkdir "$work/data"
api= worker=
trap 'kill $api $worker 2>/dev/null || true; rm -rf "$work"' EXIT
fail() { echo "FAILED: $1" >&2; tail -n 5 "$work"/*.log >&2; exit 1; }
json() { node -pe "JSON.parse(require('fs').readFileSync(0, 'utf8')).$1"; }
# A variable a line, with the defaults of ${NAME:-default}; the merge keys of YAML resolved.
settings() {
  (cd "$here/../.." && node --input-type=module -e '
    import { readFileSync } from "node:fs";
    import { parse } from "yaml";
    const { services } = parse(readFileSync("infra/containers/compose.yaml", "utf8"), { merge: true });
    const value = (text) => String(text).replace(/\$\{(\w+):-([^}]*)\}/g, (_, name, other) => process.env[name] || other);
    for (const [name, text] of Object.entries(services[process.argv[1]].environment)) console.log(`${name}=${value(text)}`);
  ' "$1")
}

GNOMON_DEVICE=cpu
export GNOMON_DEVICE
mapfile -t of_api < <(settings api)
mapfile -t of_worker < <(settings worker)
status=0
"$here/run-root.sh" "$api_root" "$work/data" "${of_api[@]}" -- api/main.ts >"$work/no-key.log" 2>&1 || status=$?
[ "$status" != 0 ] || fail "the api serves everybody although there is no key"
echo "without a key: $(tail -1 "$work/no-key.log" | cut -c 1-200)"

key=$("$here/run-root.sh" "$api_root" "$work/data" "${of_api[@]}" -- infra/local/keys.ts create --tenant acme 2>"$work/keys.log")
"$here/run-root.sh" "$api_root" "$work/data" "${of_api[@]}" -- api/main.ts >"$work/api.log" 2>&1 &
api=$!
"$here/run-root.sh" "$worker_root" "$work/data" "${of_worker[@]}" -- worker/main.ts >"$work/worker.log" 2>&1 &
worker=$!
url=http://127.0.0.1:8080
for _ in $(seq 300); do curl -sf "$url/readyz" >/dev/null && break; sleep 0.2; done
refused=$(curl -s -o /dev/null -w '%{http_code}' "$url/v1/jobs")
[ "$refused" = 401 ] || fail "without the key the api answers $refused"
ask() { curl -sf -H "authorization: Bearer $key" -H 'content-type: application/json' "$@"; }
job=$(ask "$url/v1/jobs" -d '{"document":{"text":"The board met. Contract AB-1234 expires on 3 May 2030. The board went home."},"question":"When does contract AB-1234 expire?"}' | json id)
for _ in $(seq 300); do
  status=$(ask "$url/v1/jobs/$job" | json status)
  case $status in succeeded | failed) break ;; esac
  sleep 0.2
done
[ "$status" = succeeded ] || fail "the job is $status"
echo "with it: $(ask "$url/v1/jobs/$job/result" | json 'answers[0].answer')"
for process in "$worker" "$api"; do kill -TERM "$process"; wait "$process" || fail "process $process ended with $?"; done
echo "both ended cleanly on SIGTERM"
