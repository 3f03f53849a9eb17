#!/usr/bin/env bash
# Lets a fuzzer attack the protocol crates. Fails when a target panics, hangs or grows.
#
#   run.sh [--seconds N | --runs N] [target…]    a minute of each target, unless told otherwise
#
# The corpus in the repository is where it begins; what it finds goes to target/fuzz, so that a later run goes on from
# there, and what breaks a target to target/fuzz/findings: given such a file, target/fuzz/build/*/release/TARGET tries
# it once. A fault that was mended leaves its file in corpus/, which every `cargo test` tries.
set -euo pipefail
cd "$(dirname "$0")/../.."

bound=-max_total_time=60
targets=()
while (($#)); do
    case $1 in
    --seconds) bound=-max_total_time=$2 && shift ;;
    --runs) bound=-runs=$2 && shift ;;
    -*) sed -n '2,/^set/s/^# \{0,1\}//p' "chat-engine/fuzz/run.sh" && exit 2 ;;
    *) targets+=("$1") ;;
    esac
    shift
done
if ((${#targets[@]} == 0)); then targets=(codec websocket session connection); fi

output=${CARGO_TARGET_DIR:-target}/fuzz
# With a target of its own the flags do not reach build scripts.
triple=$(rustc -vV | sed -n 's/^host: //p')

# Stable Rust has no sanitizer, but it has the coverage that guides the fuzzer; one unit of code generation because
# the instrumentation keeps functions from being inlined over units.
env CARGO_TARGET_DIR="$output/build" \
    CARGO_PROFILE_RELEASE_DEBUG=line-tables-only \
    CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true \
    CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true \
    RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1" \
    cargo build --quiet --package fuzz --bins --features libfuzzer --release --target "$triple"

mkdir -p "$output/findings"

# An input takes microseconds; the limits are for what does not end, and for what is not given back.
attack() {
    local target=$1 log=$output/$1.log
    mkdir -p "$output/corpus/$target"
    if "$output/build/$triple/release/$target" "$bound" -timeout=30 -rss_limit_mb=512 -max_len=2048 \
        -dict=chat-engine/fuzz/dictionary.txt -artifact_prefix="$output/findings/$target-" -print_final_stats=1 \
        "$output/corpus/$target" "chat-engine/fuzz/corpus/$target" >"$log" 2>&1; then
        awk -v target="$target" '
            /^Done/ { runs = $2; seconds = $5 }
            /^stat::peak_rss_mb/ { rss = $2 }
            END { printf "fuzzed %s: passed, %d executions in %d s, %d MB\n", target, runs, seconds, rss }' "$log"
    else
        tail -n 30 "$log"
        printf 'fuzzed %s: FAILED, see %s\n' "$target" "$log"
        return 1
    fi
}
export -f attack
export output bound triple

printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'attack "$1"' attack
