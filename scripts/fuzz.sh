#!/usr/bin/env bash
# fuzz.sh [SECONDS [PACKAGE…]]: runs each fuzz target of the packages (all of the
# module) for SECONDS (20), one after the other, and stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOFLAGS="${GOFLAGS:--trimpath -buildvcs=false}" CGO_ENABLED=0

seconds=${1:-20}
shift || true
[ $# -gt 0 ] || set -- ./...
go list -f '{{$p := .}}{{range .TestGoFiles}}{{$p.Dir}}/{{.}} {{$p.ImportPath}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$p.Dir}}/{{.}} {{$p.ImportPath}}{{"\n"}}{{end}}' "$@" |
	while read -r file package; do
		[ -n "$file" ] || continue
		{ grep -o '^func Fuzz[A-Za-z0-9_]*' "$file" || true; } | sed "s|^func \(.*\)|$package \1|"
	done |
	while read -r package target; do
		echo "== $package $target"
		# Without the bound, go test spends a minute on making each new input smaller, in
		# which it tries nothing else: on reports of some KiB it came to no more than a
		# few thousand executions in half a minute.
		go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" -fuzzminimizetime 100x </dev/null
	done
