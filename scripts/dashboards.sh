#!/usr/bin/env bash
# Writes dashboards/*.json from dashboards/generate.
set -euo pipefail
cd "$(dirname "$0")/.."
go run ./dashboards/generate dashboards
