#!/usr/bin/env bash
# Plays the demo beside a real Prometheus and draws the dashboards with Grafana's
# own UI components into docs/images/dashboards (five minutes; needs npm and
# chromium; half a gigabyte of packages under dashboards/picture/node_modules).
set -euo pipefail
cd "$(dirname "$0")/.."
for program in npm chromium; do
	command -v "$program" >/dev/null || { echo "dashboard-pictures: install $program first" >&2; exit 1; }
done
scripts/install-tools.sh prometheus alertmanager
npm --prefix dashboards/picture ci --silent
npm --prefix dashboards/picture run --silent build -- --logLevel warn
go run ./dashboards/picture
