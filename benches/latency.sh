#!/usr/bin/env bash
# How long a message takes from SEND to MESSAGE over Kafka: two engine nodes, 2,000 connections in 100 rooms, 500
# messages and so 10,000 deliveries a second, each half of a room on another node. Then where the time went, from the
# nodes' own histograms. Further arguments go to `loadtest run`.
#
#   DURATION=60s    how long is measured (default 30s, after 10s of warming up)
#   KAFKA_NODES=1   brokers (default 3: every record on three disks' caches before anybody sees it)
#   MOYIZA=path     another build of the launcher than this tree's release build; `api` and `chat-engine` beside it
set -euo pipefail
cd "$(dirname "$0")/.."

ulimit -n "$(ulimit -Hn)"
target=${CARGO_TARGET_DIR:-target}/release
moyiza=${MOYIZA:-$target/moyiza}
cargo build --release --quiet --package loadtest
if [[ -z ${MOYIZA:-} ]]; then
    cargo build --release --quiet --package moyiza --package api --package chat-engine
fi

work=$(mktemp -d)
chmod 755 "$work"
server=
stop() {
    if [[ $server ]]; then kill -INT "$server" && wait "$server" || true; fi
    rm -rf "$work"
}
trap stop EXIT

mkfifo "$work/says"
"$moyiza" cluster --no-demo --dir "$work/instance" --api-addr 127.0.0.1:0 --engine-addr 127.0.0.1:0 \
    --kafka-nodes "${KAFKA_NODES:-3}" --log error >"$work/says" 2>"$work/log" &
server=$!
exec 3<"$work/says"
until [[ ${line:-} == *"ready at "* ]]; do
    read -r line <&3 || { cat "$work/log" >&2; echo "moyiza did not start" >&2; exit 1; }
done
"$moyiza" seed --dir "$work/instance" --users 2000 --rooms 100 --out "$work/seed" >&2

# What the launcher says of itself: where the engines are. Their processes are its children.
engines=($(node -p 'JSON.parse(require("fs").readFileSync(process.argv[1])).engines.join(" ")' "$work/instance/instance.json"))
load=(--tokens "$work/seed/tokens.txt" --room-names "$work/seed/rooms.txt" --connections 2000 --rooms 100
    --connect-header 'Authorization:Bearer {token}' --subscribe '/chat/{room}' --send '/app/chat/{room}'
    --send-header content-type:application/json --send-header 'client-id:{seq}-{conn}-'"$RANDOM"
    --body '{"content":"{text}"}' --rate 500)
for engine in "${engines[@]}"; do load+=(--url "ws${engine#http}/ws"); done
for pid in $(pgrep -P "$server" -f 'chat-engine'); do load+=(--server-pid "$pid"); done

"$target/loadtest" run "${load[@]}" --duration "${DURATION:-30s}" --warm-up 10s "$@"
for engine in "${engines[@]}"; do
    echo "$engine"
    curl -sf "$engine/metrics" | node benches/parts.mjs
done
