# An instance for a benchmark, to be sourced: `build` it, `start` it, then `$server` is its process and `$work` its
# folder. Both go with the script.
#
#   MOYIZA=path  another build of the launcher than this tree's release build; for a cluster `api` and `chat-engine`
#                beside it

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Both ends of thousands of connections are on this machine.
ulimit -n "$(ulimit -Hn)"
target=${CARGO_TARGET_DIR:-target}/release
moyiza=${MOYIZA:-$target/moyiza}
work=$(mktemp -d)
# PostgreSQL, where it may not be root, has to get through.
chmod 755 "$work"
server=

stop() {
    if [[ $server ]]; then kill -INT "$server" && wait "$server" || true; fi
    rm -rf "$work"
}
trap stop EXIT

# build PACKAGE…: the load test, and of the instance what is not given.
build() {
    cargo build --release --quiet --package loadtest
    if [[ -z ${MOYIZA:-} ]]; then cargo build --release --quiet "${@/#/--package=}"; fi
}

# start run|cluster OPTION…: a fresh one on free ports; returns when it is ready, with the engines at "${engines[@]}".
start() {
    local mode=$1 line=
    shift
    mkfifo "$work/says"
    env -u MOYIZA_TOPICS "$moyiza" "$mode" --no-demo --dir "$work/instance" --api-addr 127.0.0.1:0 \
        --engine-addr 127.0.0.1:0 --log error "$@" >"$work/says" 2>"$work/log" &
    server=$!
    exec 3<"$work/says"
    until [[ $line == *"ready at "* ]]; do
        read -r line <&3 || { cat "$work/log" >&2; echo "moyiza did not start" >&2; exit 1; }
    done
    # What the launcher says of itself.
    read -ra engines < <(node -p 'JSON.parse(require("fs").readFileSync(process.argv[1])).engines.join(" ")' \
        "$work/instance/instance.json")
}

# single OPTION…: a fresh one of a single process with people and rooms as `seed` has it; `loadtest` comes to it, as one of
# them on each connection, with "${load[@]}".
single() {
    build moyiza
    start run
    seed "$@"
    load=(--url "ws${engines[0]#http}/ws" --server-pid "$server" --tokens "$work/seed/tokens.txt"
        --connect-header 'Authorization:Bearer {token}')
}

# seed OPTION…: people and rooms, in $work/seed.
seed() {
    "$moyiza" seed --dir "$work/instance" --out "$work/seed" "$@" >&2
}
