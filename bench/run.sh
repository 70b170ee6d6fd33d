#!/usr/bin/env bash
# One command: MariaDB 10.11 and Weald side by side; `run.sh cluster …`: a cluster of processes beside them and beside MariaDB Spider. See README.md.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(dirname "$here")"
need() { command -v "$1" >/dev/null 2>&1; }
script=bench
if [ "${1:-}" = cluster ]; then
  script=cluster
  shift
fi
missing=()
need sysbench || missing+=(sysbench)
{ need mariadbd || [ -x /usr/sbin/mariadbd ]; } || missing+=(mariadb-server)
need mariadb || missing+=(mariadb-client)
# Its engine is a package of its own; not needed where --beside leaves it out.
case "$script $* " in
  cluster*--beside*spider*) spider=1 ;;
  cluster*--beside*|bench*) spider="" ;;
  *) spider=1 ;;
esac
[ -z "$spider" ] || [ -e /usr/lib/mysql/plugin/ha_spider.so ] || missing+=(mariadb-plugin-spider)
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
exec python3 -B "$here/$script.py" "$@"
