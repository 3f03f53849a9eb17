#!/usr/bin/env bash
# Measures the history on real servers: benches/history.sh write|pages|outage [option…]
#   write  --rows N                    rows a second of what the engine does, of COPY alone, and from Kafka
#   pages  --rows N                    pages at any depth of a history of N rows, and the depth of its index
#   outage --rate N --seconds S        how far behind S seconds without PostgreSQL leave it, and for how long
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --package moyiza
cargo bench --package benches --bench history --no-run
exec "${CARGO_TARGET_DIR:-target}/release/moyiza" with-servers -- \
    cargo bench --quiet --package benches --bench history -- "$@"
