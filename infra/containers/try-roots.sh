#!/usr/bin/env bash
# usage: try-roots.sh API_ROOT WORKER_ROOT
# The contents of both images on the CPU: what must not be in them, what a worker says without its GPU, one job from
# submission to answer, health checks, a root file system that takes no writes, and a clean end on SIGTERM.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
api_root=${1:?usage: try-roots.sh API_ROOT WORKER_ROOT}
worker_root=${2:?usage: try-roots.sh API_ROOT WORKER_ROOT}
port=${PORT:-18080}
url=http://127.0.0.1:$port
data=$(mktemp -d)
logs=$(mktemp -d)
api= worker=
trap 'kill $api $worker 2>/dev/null || true; rm -rf "$data" "$logs"' EXIT
fail() { echo "FAILED: $1" >&2; tail -n 5 "$logs"/* >&2; exit 1; }
json() { node -pe "JSON.parse(require('fs').readFileSync(0, 'utf8')).$1"; }

for root in "$api_root" "$worker_root"; do
  for tool in cc gcc g++ c++ clang nvcc ptxas cicc make ninja cmake ld as npm npx pip pip3 python3; do
    found=$(find "$root" -xdev \( -type f -o -type l \) -name "$tool" -perm /111 -print -quit)
    [ -z "$found" ] || fail "$found is in the image"
  done
  writable=$(find "$root" -xdev -type f \( -user 10001 -o -perm -o=w \) -print -quit)
  [ -z "$writable" ] || fail "the process could write $writable"
done
echo "no compiler, npm or python in either, and no file that the process could write"

if [ -e "$worker_root/app/.build/native/libgnomon_cuda.so" ]; then
  status=0
  "$here/run-root.sh" "$worker_root" "$data" GNOMON_DEVICE=cuda -- worker/main.ts >"$logs/no-gpu" 2>&1 || status=$?
  [ "$status" = 1 ] || fail "without a GPU the worker ended with $status"
  unresolved=$("$here/run-root.sh" "$worker_root" "$data" -- -e 'process.exitCode = 0' >/dev/null && chroot "$worker_root" \
    /lib64/ld-linux-x86-64.so.2 --list /app/.build/native/libgnomon_cuda.so | grep 'not found' || true)
  [ -z "$unresolved" ] || fail "the CUDA backend lacks libraries: $unresolved"
  echo "without a GPU: $(tail -1 "$logs/no-gpu")"
fi

"$here/run-root.sh" "$api_root" "$data" GNOMON_PORT="$port" -- api/main.ts >"$logs/api" 2>&1 &
api=$!
"$here/run-root.sh" "$worker_root" "$data" GNOMON_DEVICE=cpu GNOMON_LIVENESS_FILE=/tmp/alive -- worker/main.ts >"$logs/worker" 2>&1 &
worker=$!

for _ in $(seq 300); do curl -sf "$url/readyz" >/dev/null && break; sleep 0.2; done
curl -sf "$url/readyz" >/dev/null || fail "the api is not ready"
echo "api ready: $(curl -sf "$url/v1/models" | json 'data[0].id')"
sample=$here/../../native/models/needle/sample
document=$(curl -sf "$url/v1/documents" -H 'content-type: text/plain' --data-binary "@$sample/document.txt" | json id)
question=$(node -pe "JSON.parse(require('fs').readFileSync('$sample/questions.json', 'utf8'))[0].question")
body=$(printf '{"document":{"id":"%s"},"question":"%s"}' "$document" "$question")
job=$(curl -sf "$url/v1/jobs" -H 'content-type: application/json' -d "$body" | json id)
for _ in $(seq 600); do
  status=$(curl -sf "$url/v1/jobs/$job" | json status)
  case $status in succeeded | failed) break ;; esac
  sleep 0.2
done
[ "$status" = succeeded ] || fail "the job is $status"
echo "answer: $(curl -sf "$url/v1/jobs/$job/result" | json 'answers[0].answer')"

# In the file system and as the user of a running process, as an engine runs a health check.
inside() { nsenter --target "$1" --mount --root --wd --setuid 10001 --setgid 10001 /usr/bin/env -i "${@:2}"; }
inside "$api" GNOMON_PORT="$port" /usr/local/bin/node /app/health.mjs || fail "the api's health check"
inside "$worker" GNOMON_LIVENESS_FILE=/tmp/alive /usr/local/bin/node /app/health.mjs || fail "the worker's health check"
for process in "$api" "$worker"; do
  [ "$(stat -c %u "/proc/$process")" = 10001 ] || fail "process $process does not run as 10001"
  ! inside "$process" /bin/sh -c 'echo x 2>/dev/null >/app/x' 2>/dev/null || fail "the root file system can be written"
done
echo "healthy, as user 10001, on a root file system that cannot be written"

for process in "$worker" "$api"; do
  kill -TERM "$process"
  wait "$process" || fail "process $process ended with $?"
done
echo "both ended cleanly on SIGTERM"
