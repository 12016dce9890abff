#!/usr/bin/env bash
# Compiles builder-config.yaml with upstream's builder, as any user of ocb
# would, with its strict check of versions, and holds the result against
# bin/deployloop: the same components at the same versions.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .tools/bin build/ocb
go -C internal/tools build -o ../../.tools/bin/builder go.opentelemetry.io/collector/cmd/builder
cp go.sum build/ocb/go.sum
.tools/bin/builder --config builder-config.yaml --skip-strict-versioning=false >build/ocb.log 2>&1 || { tail -40 build/ocb.log; exit 1; }

# One line a component: its type, its module and version.
listed() { "$1" components | awk '/^[a-z]+:$/ {kind = $1} / name: / {name = $NF} /^ +module: / {print kind, name, $2, $3}' | grep -v ' default \| github.com/deployloop/' | sort; }
[[ -x bin/deployloop ]] || make --no-print-directory build
diff <(listed build/ocb/deployloop | grep -v '^providers') <(listed bin/deployloop | grep -v '^providers') || { echo "ocb's build and bin/deployloop hold different components"; exit 1; }
echo "ocb: $(listed build/ocb/deployloop | wc -l) components of upstream, as in bin/deployloop"
build/ocb/deployloop components | grep -c 'deployloop/deployloop' | xargs -I{} echo "ocb: {} components of our own"
