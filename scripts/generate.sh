#!/usr/bin/env bash
# Writes cmd/deployloop/components.go from builder-config.yaml with upstream's
# builder, which only writes sources here: the root go.mod rules the versions.
set -euo pipefail
cd "$(dirname "$0")/.."
go -C internal/tools build -o ../../.tools/bin/builder go.opentelemetry.io/collector/cmd/builder
.tools/bin/builder --config builder-config.yaml --skip-get-modules --skip-compilation >build-ocb.log 2>&1 || { cat build-ocb.log; rm -f build-ocb.log; exit 1; }
rm -f build-ocb.log
gofmt build/ocb/components.go >cmd/deployloop/components.go
