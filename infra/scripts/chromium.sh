#!/usr/bin/env bash
# Prints where a Chromium is for the end-to-end tests; as root on Debian, installs one where there is none.
set -euo pipefail

find_chromium() {
    local name
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        if command -v "$name"; then return 0; fi
    done
    return 1
}

if find_chromium; then exit 0; fi
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "error: Chromium is missing: install it, as in: sudo apt-get install chromium" >&2
    exit 1
fi
install=(apt-get install --yes --no-install-recommends -qq chromium fonts-noto-cjk)
export DEBIAN_FRONTEND=noninteractive
echo "installing Chromium, once" >&2
if ! "${install[@]}" >&2; then
    # A fresh image has no package lists, or old ones.
    apt-get update -qq >&2
    "${install[@]}" >&2
fi
find_chromium
