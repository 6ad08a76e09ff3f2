#!/usr/bin/env bash
# usage: try-roots.sh API_ROOT WORKER_ROOT
# One job through the contents of both images, on the CPU: health checks, answer, and a clean end on SIGTERM.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
api_root=${1:?usage: try-roots.sh API_ROOT WORKER_ROOT}
worker_root=${2:?usage: try-roots.sh API_ROOT WORKER_ROOT}
port=${PORT:-18080}
url=http://127.0.0.1:$port
data=$(mktemp -d)
logs=$(mktemp -d)
json() { node -pe "JSON.parse(require('fs').readFileSync(0, 'utf8')).$1"; }

"$here/run-root.sh" "$api_root" "$data" GNOMON_PORT="$port" -- api/main.ts >"$logs/api" 2>&1 &
api=$!
"$here/run-root.sh" "$worker_root" "$data" GNOMON_DEVICE=cpu GNOMON_LIVENESS_FILE=/tmp/alive -- worker/main.ts >"$logs/worker" 2>&1 &
worker=$!
trap 'kill $api $worker 2>/dev/null || true; rm -rf "$data" "$logs"' EXIT
fail() { echo "FAILED: $1" >&2; tail -5 "$logs"/* >&2; exit 1; }

for _ in $(seq 100); do curl -sf "$url/readyz" >/dev/null && break; sleep 0.2; done
curl -sf "$url/readyz" >/dev/null || fail "the api is not ready"
echo "api ready: $(curl -sf "$url/v1/models" | json 'data[0].id')"
sample=$here/../../native/models/needle/sample
document=$(curl -sf "$url/v1/documents" -H 'content-type: text/plain' --data-binary "@$sample/document.txt" | json id)
question=$(node -pe "JSON.parse(require('fs').readFileSync('$sample/questions.json', 'utf8'))[0].question")
body=$(printf '{"document":{"id":"%s"},"question":"%s"}' "$document" "$question")
job=$(curl -sf "$url/v1/jobs" -H 'content-type: application/json' -d "$body" | json id)
for _ in $(seq 300); do
  status=$(curl -sf "$url/v1/jobs/$job" | json status)
  case $status in succeeded | failed) break ;; esac
  sleep 0.2
done
[ "$status" = succeeded ] || fail "the job is $status"
echo "answer: $(curl -sf "$url/v1/jobs/$job/result" | json 'answers[0].answer')"
for process in "$worker" "$api"; do
  kill -TERM "$process"
  wait "$process" || fail "process $process ended with $?"
done
echo "both ended cleanly on SIGTERM"
