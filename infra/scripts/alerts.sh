#!/usr/bin/env bash
# Checks the Prometheus rules, and that each fires when it should. Where promtool is not on PATH it is taken out of
# Debian's package, which is not installed: that would start a Prometheus.
set -euo pipefail
cd "$(dirname "$0")/../.."

store=${MOYIZA_SERVERS_DIR:-.servers}/promtool
mkdir -p "$store"
fetched=$(cd "$store" && pwd)/usr/bin/promtool

fetch() {
    local work
    work=$(mktemp -d)
    # apt gives up its rights before it downloads.
    chmod 777 "$work"
    (cd "$work" && apt-get download -qq prometheus) &&
        dpkg-deb --extract "$work"/prometheus_*.deb "$work/files" &&
        install -D "$work/files/usr/bin/promtool" "$fetched"
    local code=$?
    rm -rf "$work"
    return $code
}

promtool=$(command -v promtool || true)
if [[ -z $promtool ]]; then
    promtool=$fetched
    if [[ ! -x $promtool ]]; then
        if ! command -v apt-get >/dev/null; then
            echo "error: promtool is missing: install Prometheus" >&2
            exit 1
        fi
        echo "fetching promtool, once" >&2
        # A fresh image has no package lists, or old ones.
        fetch || { [[ $(id -u) == 0 ]] && apt-get update -qq && fetch; }
    fi
fi
"$promtool" check rules infra/alerts/moyiza.yml
"$promtool" test rules infra/alerts/moyiza_test.yml
