#!/usr/bin/env bash
# Runs every test once, the live loop and the real browser included, and lists
# the slowest. Arguments go to `go test`, for example `-race ./internal/...`.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .tools/bin build
go -C internal/tools build -o ../../.tools/bin/gotestsum gotest.tools/gotestsum

[[ $# -gt 0 ]] || set -- ./...
status=0
.tools/bin/gotestsum --format pkgname --format-hide-empty-pkg --jsonfile build/test.json -- -count=1 -timeout=20m "$@" || status=$?
echo
echo "slowest:"
.tools/bin/gotestsum tool slowest --num 12 --jsonfile build/test.json
exit "$status"
