#!/usr/bin/env bash
# Fan-out of chat rooms, with counts, sequence numbers and history, against plain `/topic` of the same instance by turns:
# 2,000 connections in 20 rooms, texts of 120 bytes. Arguments go to `loadtest run`.
#
#   ROUNDS=5           of each, with 1 and with 8 messages in flight in each room
#   MOYIZA=path        another build of the launcher (instance.sh)
set -euo pipefail
source "$(dirname "$0")/instance.sh"

single --users 2000 --rooms 20
load+=(--room-names "$work/seed/rooms.txt" --connections 2000 --rooms 20 --size 120
    --send-header content-type:application/json --body '{"content":"{text}"}' --json)
topic=(--subscribe '/topic/{room}' --send '/topic/{room}')
chat=(--subscribe '/chat/{room}' --send '/app/chat/{room}')

for in_flight in 1 8; do
    for _ in $(seq "${ROUNDS:-5}"); do
        for what in topic chat; do
            declare -n where=$what
            "$target/loadtest" run "${load[@]}" "${where[@]}" --in-flight "$in_flight" "$@" >"$work/$what.json"
        done
        node -e '
            const [topic, chat] = process.argv.slice(2).map((file) => JSON.parse(require("fs").readFileSync(file)));
            const rate = (report) => Math.round(report.deliveries_per_second).toLocaleString("en");
            const ratio = (chat.deliveries_per_second / topic.deliveries_per_second).toFixed(2);
            const cpu = ({ server_cpu }) => `${server_cpu?.per_delivery_us.toFixed(2)} µs of CPU each`;
            console.log(`${process.argv[1]} in flight: /topic ${rate(topic)} deliveries/s, ${cpu(topic)}; rooms ${rate(chat)}, ${cpu(chat)}: ${ratio}`);
        ' "$in_flight" "$work/topic.json" "$work/chat.json"
    done
done
