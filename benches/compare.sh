#!/usr/bin/env bash
# Looks at an engine, as `moyiza run` has it: the memory of 10,000 idle connections of a fresh instance, then
# `/topic` fan-out against the floor by turns. Arguments go to `loadtest compare`, such as --rounds 5 --each-in-flight 1.
#
#   MOYIZA=path  another build of the launcher than this tree's release build
set -euo pipefail
cd "$(dirname "$0")/.."

# Both ends of 10,000 connections are on this machine.
ulimit -n "$(ulimit -Hn)"
target=${CARGO_TARGET_DIR:-target}/release
moyiza=${MOYIZA:-$target/moyiza}
cargo build --release --quiet --package loadtest
if [[ -z ${MOYIZA:-} ]]; then cargo build --release --quiet --package moyiza; fi

work=$(mktemp -d)
# PostgreSQL, where it may not be root, has to get through.
chmod 755 "$work"
server=
stop() {
    if [[ $server ]]; then kill -INT "$server" && wait "$server" || true; fi
    rm -rf "$work"
}
trap stop EXIT

mkfifo "$work/says"
env -u MOYIZA_TOPICS "$moyiza" run --no-demo --dir "$work/instance" --api-addr 127.0.0.1:0 \
    --engine-addr 127.0.0.1:0 --log error >"$work/says" &
server=$!
exec 3<"$work/says"
until [[ ${line:-} == *"ready at "* ]]; do
    read -r line <&3 || { echo "moyiza did not start" >&2; exit 1; }
done
api=${line##* }
url=$(node -e 'fetch(process.argv[1] + "/api/config").then((r) => r.json()).then((c) => console.log(c.engineUrl))' "$api")

"$moyiza" seed --dir "$work/instance" --users 10000 --rooms 100 --out "$work/seed" >&2
engine=(--url "$url" --server-pid "$server" --tokens "$work/seed/tokens.txt"
    --connect-header 'Authorization:Bearer {token}')

echo "10,000 connections, subscribed, heart-beats on"
"$target/loadtest" run "${engine[@]}" --connections 10000 --rooms 100 --duration 0 --hold 20s
echo "fan-out, 2,000 connections in 20 rooms, texts of 120 bytes"
"$target/loadtest" compare "${engine[@]}" --connections 2000 --rooms 20 --size 120 "$@"
