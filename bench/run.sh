#!/usr/bin/env bash
# One command: MariaDB 10.11 and Weald side by side. See README.md.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(dirname "$here")"
need() { command -v "$1" >/dev/null 2>&1; }
missing=()
need sysbench || missing+=(sysbench)
{ need mariadbd || [ -x /usr/sbin/mariadbd ]; } || missing+=(mariadb-server)
need mariadb || missing+=(mariadb-client)
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing: ${missing[*]}"
  sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
  # The package must not start a server of its own: ours is private.
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ -z "${WEALD_BIN:-}" ]; then
  echo "building weald (release)"
  (cd "$root" && cargo build --release --quiet --bin weald)
  export WEALD_BIN="${CARGO_TARGET_DIR:-$root/target}/release/weald"
fi
exec python3 "$here/bench.py" "$@"
