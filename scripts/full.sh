#!/usr/bin/env bash
# Compiles builder-config.full.yaml with upstream's builder into
# build/full/deployloop-full.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .tools/bin build/full
go -C internal/tools build -o ../../.tools/bin/builder go.opentelemetry.io/collector/cmd/builder
cp go.sum build/full/go.sum
.tools/bin/builder --config builder-config.full.yaml --skip-strict-versioning=false >build/full.log 2>&1 || { tail -40 build/full.log; exit 1; }
