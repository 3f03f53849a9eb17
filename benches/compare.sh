#!/usr/bin/env bash
# Looks at an engine, as `moyiza run` has it: the memory of 10,000 idle connections of a fresh instance, then
# `/topic` fan-out against the floor by turns. Arguments go to `loadtest compare`, such as --rounds 5 --each-in-flight 1.
# MOYIZA names another build of the launcher (instance.sh).
set -euo pipefail
source "$(dirname "$0")/instance.sh"

single --users 10000 --rooms 100

echo "10,000 connections, subscribed, heart-beats on"
"$target/loadtest" run "${load[@]}" --connections 10000 --rooms 100 --duration 0 --hold 20s
echo "fan-out, 2,000 connections in 20 rooms, texts of 120 bytes"
"$target/loadtest" compare "${load[@]}" --connections 2000 --rooms 20 --size 120 "$@"
