#!/usr/bin/env bash
# Checks and tests rules/ with each promtool there is, and dry-runs them with
# vmalert if it is installed (scripts/install-tools.sh prometheus promtool-debian vmalert).
set -euo pipefail
cd "$(dirname "$0")/.."
promtools=()
for tool in .tools/bin/promtool .tools/debian/usr/bin/promtool; do
	[[ -x $tool ]] && promtools+=("$tool")
done
[[ ${#promtools[@]} -gt 0 ]] || { echo "no promtool: run scripts/install-tools.sh prometheus" >&2; exit 1; }
for tool in "${promtools[@]}"; do
	echo "$tool"
	"$tool" check rules rules/*.yaml
	"$tool" test rules rules/tests/*_test.yaml
done
if [[ -x .tools/bin/vmalert ]]; then .tools/bin/vmalert -dryRun -rule='rules/*.yaml'; fi
