#!/usr/bin/env bash
# Holds an engine, as `moyiza run` has it, against the floor: `/topic` fan-out by turns, then the memory of idle
# connections. Arguments go to `loadtest compare`, such as --rounds 5 --each-in-flight 1.
#
#   MOYIZA=path  another build of the launcher than this tree's release build
set -euo pipefail
cd "$(dirname "$0")/.."

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

"$moyiza" seed --dir "$work/instance" --users 2000 --rooms 20 --out "$work/seed" >&2
load=(--connections 2000 --rooms 20 --size 120 --tokens "$work/seed/tokens.txt"
    --connect-header 'Authorization:Bearer {token}')

"$target/loadtest" compare "${load[@]}" --url "$url" --server-pid "$server" "$@"
