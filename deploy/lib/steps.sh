# Steps on a screen, in the words and marks of the quickstart's program: sourced, never run.

# stop_here MESSAGE: says why it cannot go on, and ends the script.
stop_here() {
  printf '\nThe quickstart stopped:\n  %s\n' "$1" >&2
  exit 1
}

# step NAME ADVICE COMMAND…: runs a command as a named step with its time. Its output is shown, indented; when it fails,
# ADVICE says what to do and the script ends.
step() {
  local name=$1 advice=$2 started status took
  shift 2
  started=$(date +%s%N)
  printf '▸ %s\n' "$name"
  "$@" 2>&1 | sed 's/^/    /'
  status=${PIPESTATUS[0]}
  took=$((($(date +%s%N) - started) / 100000000))
  if [ "$status" -ne 0 ]; then
    printf '  ✗ after %d.%d s\n' $((took / 10)) $((took % 10))
    stop_here "$name: $advice"
  fi
  printf '  ✓ done (%d.%d s)\n' $((took / 10)) $((took % 10))
}

# True when a Docker engine answers on the usual socket, or the one DOCKER_HOST names.
engine_answers() {
  local socket=/var/run/docker.sock
  case ${DOCKER_HOST:-} in unix://*) socket=${DOCKER_HOST#unix://} ;; esac
  node -e '
    const { request } = require("node:http");
    const ping = request({ socketPath: process.argv[1], path: "/_ping", timeout: 1000 }, (answer) => process.exit(answer.statusCode === 200 ? 0 : 1));
    ping.on("timeout", () => process.exit(1)).on("error", () => process.exit(1)).end();' "$socket"
}
