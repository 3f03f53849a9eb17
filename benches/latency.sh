#!/usr/bin/env bash
# How long a message takes from SEND to MESSAGE over Kafka: two engine nodes, 2,000 connections in 100 rooms, 500
# messages and so 10,000 deliveries a second, each half of a room on another node. Then where the time went, from the
# nodes' own histograms. Further arguments go to `loadtest run`.
#
#   DURATION=60s    how long is measured (default 30s, after 10s of warming up)
#   KAFKA_NODES=1   brokers (default 3: every record on three disks' caches before anybody sees it)
#   MOYIZA=path     another build (instance.sh)
set -euo pipefail
source "$(dirname "$0")/instance.sh"

build moyiza api chat-engine
start cluster --kafka-nodes "${KAFKA_NODES:-3}"
seed --users 2000 --rooms 100

# Its engines are its children.
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
