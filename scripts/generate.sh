#!/usr/bin/env bash
# Writes cmd/deployloop/components.go from builder-config.yaml with upstream's
# builder, which only writes sources here: the root go.mod rules the versions.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .tools/bin build
go -C internal/tools build -o ../../.tools/bin/builder go.opentelemetry.io/collector/cmd/builder
.tools/bin/builder --config builder-config.yaml --skip-get-modules --skip-compilation >build/generate.log 2>&1 ||
	{ cat build/generate.log; exit 1; }
gofmt build/ocb/components.go >cmd/deployloop/components.go
