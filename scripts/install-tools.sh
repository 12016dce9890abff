#!/usr/bin/env bash
# Installs the real programs that tests run against into .tools/bin (ignored by
# git), each at a pinned version and only when it is not there at that version.
#
#   scripts/install-tools.sh               what `make test` needs
#   scripts/install-tools.sh alertmanager  the named ones
#
# A further tool is one more function, named after its argument, that calls
# `installed` and `go install`.
set -euo pipefail
cd "$(dirname "$0")/.."

export GOBIN="$PWD/.tools/bin" GOFLAGS="-trimpath -buildvcs=false"
# The version is in the import path: no module of ours takes part.
export GO111MODULE=on GOWORK=off
mkdir -p "$GOBIN"

# installed MODULE VERSION PROGRAM… is true when every program was built from
# that version of that module.
installed() {
	local module=$1 version=$2 program
	shift 2
	for program in "$@"; do
		[[ -x $GOBIN/$program ]] || return 1
		go version -m "$GOBIN/$program" 2>/dev/null | grep -qF $'\tmod\t'"$module"$'\t'"$version"$'\t' || return 1
	done
}

# v0.31.1 is the newest whose user interface is in the module, so that
# `go install` can build it.
alertmanager() {
	local module=github.com/prometheus/alertmanager version=v0.31.1
	installed "$module" "$version" alertmanager amtool && return
	echo "installing alertmanager and amtool $version (about a minute, once)" >&2
	go install "$module/cmd/alertmanager@$version" "$module/cmd/amtool@$version"
}

golangci-lint() {
	local module=github.com/golangci/golangci-lint/v2 version=v2.15.0
	installed "$module" "$version" golangci-lint && return
	echo "installing golangci-lint $version (about a minute, once)" >&2
	go install "$module/cmd/golangci-lint@$version"
}

# Gitea's module replaces others, which `go install` refuses: it is built from a
# module of our own that pins them all. SQLite needs a C compiler.
gitea() {
	local module=code.gitea.io/gitea version=v1.26.0
	installed "$module" "$version" gitea && return
	echo "installing gitea $version (four minutes, once)" >&2
	CGO_ENABLED=1 go -C internal/tools/gitea build -ldflags "-X main.Version=${version#v}" \
		-tags "sqlite sqlite_unlock_notify timetzdata" -o "$GOBIN/gitea" "$module"
}

# What Kubernetes, kustomize, compose, Argo Rollouts and Flagger make of the
# examples: their own code, in a module of its own. Built anew when it changed.
cluster() {
	[[ -x $GOBIN/cluster && -z $(find internal/tools/cluster -newer "$GOBIN/cluster") ]] && return
	echo "building the check of manifests (minutes, once)" >&2
	go -C internal/tools/cluster build -o "$GOBIN/cluster" .
}

# A Kafka broker in one process, in a module of its own. Built anew when it changed.
kafka() {
	[[ -x $GOBIN/kafka && -z $(find internal/tools/kafka -newer "$GOBIN/kafka") ]] && return
	echo "building the Kafka broker (half a minute, once)" >&2
	go -C internal/tools/kafka build -o "$GOBIN/kafka" .
}

# GitHub's own OpenAPI contract, which tests hold every request to: one file of
# the package that GitHub's clients are made from, 13 MB of 380.
github-contract() {
	local package=@octokit/openapi@23.0.2 file=.tools/contracts/github.json
	local sum=829b4bebb19a53133289f7b0bc819f4f1118115821db2ca9f25e9ee995a7da2a
	sha256sum --check --status <<<"$sum  $file" 2>/dev/null && return
	if ! command -v npm >/dev/null && [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
		echo "installing npm from the system's packages (a minute, once)" >&2
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm >/dev/null
	fi
	command -v npm >/dev/null || { echo "install-tools: install npm first: GitHub's contract is a package of it" >&2; return 1; }
	echo "fetching GitHub's contract (seconds, once)" >&2
	local packed
	packed=$(mktemp -d)
	mkdir -p "${file%/*}"
	npm pack --silent --pack-destination "$packed" "$package" >/dev/null
	tar -xzOf "$packed"/*.tgz package/generated/api.github.com.json >"$file"
	rm -r "$packed"
	sha256sum --check --quiet <<<"$sum  $file"
}

# Without the tag it takes ten minutes, and brings every cloud's client.
prometheus() {
	local module=github.com/prometheus/prometheus version=v0.316.0
	installed "$module" "$version" prometheus promtool && return
	echo "installing prometheus and promtool $version (two minutes, once)" >&2
	go install -tags remove_all_sd "$module/cmd/prometheus@$version" "$module/cmd/promtool@$version"
}

# The oldest promtool that rules/ must please: Debian's, unpacked and not
# installed, so that nothing else on the machine changes. Without apt there is
# none, which is no failure.
promtool-debian() {
	local dir=$PWD/.tools/debian
	[[ -x $dir/usr/bin/promtool ]] && return
	command -v apt-get >/dev/null || { echo "no apt-get: the rules are not tried with Debian's promtool" >&2; return; }
	mkdir -p "$dir"
	apt-get update -qq
	(cd "$dir" && apt-get download -qq prometheus 2>/dev/null && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb)
}

vmalert() {
	local module=github.com/VictoriaMetrics/VictoriaMetrics version=v1.151.0
	installed "$module" "$version" vmalert && return
	echo "installing vmalert $version (once)" >&2
	go install "$module/app/vmalert@$version"
}

[[ $# -gt 0 ]] || set -- alertmanager prometheus gitea cluster kafka github-contract
for tool in "$@"; do
	case $tool in
	alertmanager | cluster | gitea | github-contract | golangci-lint | kafka | prometheus | promtool-debian | vmalert) "$tool" ;;
	*)
		echo "install-tools: no tool named $tool" >&2
		exit 2
		;;
	esac
done
