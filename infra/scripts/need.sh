#!/usr/bin/env bash
# Says in one line which of the tools named as arguments is missing, and where it comes from.
set -euo pipefail

# The oldest Node.js that the web page's tools run on.
oldest_node=20.19

origin() {
    case $1 in
        cargo) echo "install Rust from https://rustup.rs" ;;
        cc | cmake) echo "install a C/C++ toolchain with cmake, as in: apt-get install build-essential cmake" ;;
        node | npm) echo "install Node.js $oldest_node or newer with npm" ;;
    esac
}

for tool in "$@"; do
    if ! command -v "$tool" >/dev/null; then
        echo "error: \`$tool\` is missing: $(origin "$tool")" >&2
        exit 1
    fi
    if [[ $tool == node ]]; then
        found=$(node --version)
        if [[ $(printf '%s\n' "$oldest_node" "${found#v}" | sort -V | head -n 1) != "$oldest_node" ]]; then
            echo "error: Node.js ${found#v} is too old: $(origin node)" >&2
            exit 1
        fi
    fi
done
