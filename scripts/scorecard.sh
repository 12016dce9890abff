#!/usr/bin/env bash
# Measures the detection engine and writes docs/scorecard.md (about twelve minutes
# on two cores), and fails when a goal is missed. Further flags go to the program:
# see test/scorecard.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOFLAGS="${GOFLAGS:--trimpath -buildvcs=false}"
exec go run ./test/scorecard -out docs/scorecard.md "$@"
