#!/usr/bin/env bash
# Format, vet and golangci-lint; the module is whole and what is generated is
# what would be generated now.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-tools.sh golangci-lint

unformatted=$(git ls-files -z "*.go" | xargs -0 gofmt -l)
if [[ -n $unformatted ]]; then
	echo "not gofmt'ed (run gofmt -w):"
	echo "$unformatted"
	exit 1
fi
go mod verify >/dev/null
for script in scripts/*.sh .ci/run; do bash -n "$script"; done
.tools/bin/golangci-lint run ./...

scripts/generate.sh
git diff --exit-code -- cmd/deployloop/components.go ||
	{ echo "cmd/deployloop/components.go is not what builder-config.yaml gives: commit the result of make generate"; exit 1; }
