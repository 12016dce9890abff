#!/usr/bin/env bash
# Checks and tests rules/ with each promtool there is, new and Debian's old one,
# and dry-runs them with vmalert (scripts/install-tools.sh prometheus promtool-debian vmalert).
set -euo pipefail
cd "$(dirname "$0")/.."
promtools=()
for tool in .tools/bin/promtool .tools/debian/usr/bin/promtool; do
	if [[ -x $tool ]]; then promtools+=("$tool"); else echo "not there: $tool" >&2; fi
done
[[ ${#promtools[@]} -gt 0 ]] || { echo "no promtool: run scripts/install-tools.sh prometheus" >&2; exit 1; }
for tool in "${promtools[@]}"; do
	echo "$tool"
	"$tool" check rules rules/*.yaml
	"$tool" test rules rules/tests/*_test.yaml
done
[[ -x .tools/bin/vmalert ]] || { echo "not there: .tools/bin/vmalert; run scripts/install-tools.sh vmalert" >&2; exit 1; }
.tools/bin/vmalert -dryRun -rule='rules/*.yaml'
