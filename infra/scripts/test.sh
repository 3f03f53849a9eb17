#!/usr/bin/env bash
# Runs every check, whatever the ones before said, and ends with a line that counts.
#
#   --quick  leaves out what needs Java (tests with `kafka` or `cluster` in their names, the end-to-end test's
#            cluster mode), and fuzzing
set -uo pipefail
cd "$(dirname "$0")/../.."

quick=
if [[ ${1:-} == --quick ]]; then quick=yes; fi

# Instances' settings are not for tests.
while IFS='=' read -r name _; do
    case $name in MOYIZA_* | DATABASE_URL) unset "$name" ;; esac
done < <(env)

reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
passed=0
failed=0
took=()

# Runs a step that counts as one when it fails, and not at all when it passes.
step() {
    local name=$1 began=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    "$@"
    local code=$?
    took+=("$((SECONDS - began)) s  $name")
    if ((code != 0)); then
        printf '== FAILED: %s\n' "$name"
        return 1
    fi
}

check() {
    step "$@" || failed=$((failed + 1))
}

# Adds up a report; a step that failed without a failed test (it did not even build) counts as one.
count() {
    local ok=$1 report_passed=${2:-0} report_failed=${3:-0}
    passed=$((passed + report_passed))
    failed=$((failed + report_failed))
    if [[ $ok == no ]] && ((report_failed == 0)); then failed=$((failed + 1)); fi
}

rust_tests() {
    local servers=() tests=()
    if [[ $quick ]]; then
        servers=(--no-kafka)
        tests=(--skip kafka --skip cluster)
    fi
    cargo build --workspace --bins &&
        cargo test --workspace --no-run &&
        "${CARGO_TARGET_DIR:-target}/debug/moyiza" with-servers "${servers[@]}" -- \
            cargo test --workspace --no-fail-fast -- "${tests[@]}" 2>&1 | tee "$reports/rust"
}

# A line for each target.
fuzzing() {
    chat-engine/fuzz/run.sh --seconds 60 | tee "$reports/fuzz"
}

# A cluster of its own under faults at random; the schedule has every kind of fault in it.
chaos() {
    "${CARGO_TARGET_DIR:-target}/debug/chaos" --seconds 90 --seed 1 --out "${CARGO_TARGET_DIR:-target}/chaos"
}

web_tests() {
    (cd web && npm test -- --reporter=default --reporter=json --outputFile="$reports/web.json")
}

end_to_end() {
    local mode=$1
    # Playwright looks for it on PATH.
    infra/scripts/chromium.sh >/dev/null &&
        PLAYWRIGHT_JSON_OUTPUT_NAME=$reports/$mode.json \
            node web/e2e/run.mjs "$mode" --reporter=list,json
}

# Client libraries that others wrote; the one in Java is among what --quick leaves out.
real_clients() {
    local suites=()
    if [[ $quick ]]; then suites=(node chromium stomp-py); fi
    node chat-engine/clients/run.mjs --json "$reports/clients.json" "${suites[@]}"
}

# The numbers that a JSON report has at the given paths, or zeros.
numbers() {
    node -e '
        const [file, ...paths] = process.argv.slice(1);
        let report = {};
        try { report = JSON.parse(require("fs").readFileSync(file, "utf8")); } catch {}
        const at = (path) => path.split(".").reduce((value, key) => value?.[key], report) ?? 0;
        const sums = paths.map((sum) => sum.split("+").map(at).reduce((a, b) => a + b, 0));
        console.log(sums.join(" "));
    ' "$@"
}

check "formatting" cargo fmt --all --check
check "clippy" cargo clippy --workspace --all-targets --quiet -- -D warnings
check "web lint" npm --prefix web run lint
check "alerts" infra/scripts/alerts.sh

ok=yes
step "Rust tests" rust_tests || ok=no
read -r sum_passed sum_failed < <(awk '
    /^test result:/ { passed += $4; failed += $6 }
    END { print passed + 0, failed + 0 }' "$reports/rust" 2>/dev/null || echo 0 0)
count "$ok" "$sum_passed" "$sum_failed"

if [[ ! $quick ]]; then
    ok=yes
    step "fuzzing, a minute each target" fuzzing || ok=no
    read -r sum_passed sum_failed < <(awk '
        /^fuzzed .*: passed/ { passed++ }
        /^fuzzed .*: FAILED/ { failed++ }
        END { print passed + 0, failed + 0 }' "$reports/fuzz" 2>/dev/null || echo 0 0)
    count "$ok" "$sum_passed" "$sum_failed"
fi

if [[ ! $quick ]]; then
    ok=yes
    # What went wrong is in it.
    step "chaos, 90 seconds" chaos || ok=no
    count "$ok" "$([[ $ok == yes ]] && echo 1 || echo 0)" 0
fi

ok=yes
step "web tests" web_tests || ok=no
read -r sum_passed sum_failed < <(numbers "$reports/web.json" numPassedTests numFailedTests)
count "$ok" "$sum_passed" "$sum_failed"

modes=(embedded cluster)
if [[ $quick ]]; then modes=(embedded); fi
for mode in "${modes[@]}"; do
    ok=yes
    step "end to end in Chromium, $mode" end_to_end "$mode" || ok=no
    read -r sum_passed sum_failed < <(
        numbers "$reports/$mode.json" stats.expected+stats.flaky stats.unexpected
    )
    count "$ok" "$sum_passed" "$sum_failed"
done

ok=yes
step "real clients" real_clients || ok=no
read -r sum_passed sum_failed < <(numbers "$reports/clients.json" passed failed)
count "$ok" "$sum_passed" "$sum_failed"

printf '\n'
printf '%s\n' "${took[@]}"
printf '\n%s passed, %s failed\n' "$passed" "$failed"
((failed == 0))
