#!/usr/bin/env bash
# What it costs to know who has read what, in calls of Redis, frames and CPU: over a cluster of two engines, with Redis and
# Kafka. Each of these is a fresh instance; say which, or nothing for all:
#
#   crowd   one room of 5,000 members, 100 messages a second; 250, 500 and 1,000 of them in the room at any moment,
#           each for 10 s, so that they come and go all the time
#   rooms   10,000 people open 10 rooms each on one node, 100,000 in all, then 100 messages a second; a room has two
#           members, of whom one is there
#   app     10,000 people with ten rooms of a hundred members each open the app in ten seconds
#
#   MOYIZA=path   another build (instance.sh)
set -euo pipefail
source "$(dirname "$0")/instance.sh"

build moyiza api chat-engine
people=10000

# visit OPTION…: people come to the first NODES engines.
visit() {
    local load=(--tokens "$work/seed/tokens.txt" --room-names "$work/seed/rooms.txt") pid
    for engine in "${engines[@]:0:${NODES:-2}}"; do load+=(--url "ws${engine#http}/ws"); done
    for pid in $(pgrep -P "$server" -f 'chat-engine' | head -n "${NODES:-2}"); do
        load+=(--server-pid "$pid")
        # The launcher tells its engines in their environment.
        redis=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's,^MOYIZA_REDIS_URL=redis://,,p')
    done
    "$target/loadtest" visit "${load[@]}" --redis "$redis" "$@"
}

fresh() {
    if [[ $server ]]; then kill -INT "$server" && wait "$server" || true; fi
    server=
    exec 3<&-
    rm -rf "${work:?}"/*
    start cluster --kafka-nodes 1
    seed "$@"
}

crowd() {
    fresh --users 5000 --rooms 1
    # Each is in the room a fifth of the time.
    for present in 250 500 1000; do
        echo "== crowd: 5,000 members, $present of them in the room"
        visit --people "$((present * 5))" --arrive 10s --stay 10s --away 40s --settle 20s --duration 20s --rate 100
    done
}

rooms() {
    fresh --users "$((2 * people))" --rooms 100000 --each 10
    echo "== rooms: 100,000 with subscribers on one node"
    NODES=1 visit --people "$people" --each 10 --arrive 60s --settle 40s --duration 30s --rate 100
}

app() {
    fresh --users "$people" --rooms 1000 --each 10
    echo "== app: 10,000 people open it in ten seconds"
    visit --people "$people" --each 10 --inbox --arrive 10s --duration 20s --rate 100
}

for what in "${@:-crowd rooms app}"; do
    for name in $what; do "$name"; done
done
