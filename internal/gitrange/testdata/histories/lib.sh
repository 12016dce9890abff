# What every history shares: fixed people, a clock that each commit moves on by
# a minute, and the tags between which the range is read.
set -eu
export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@shop.example GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@shop.example
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null LC_ALL=C TZ=UTC
now=1700000000
tick() {
	now=$((now + 60))
	export GIT_AUTHOR_DATE="$now +0100" GIT_COMMITTER_DATE="$now +0100"
}
commit() { # message
	tick
	git add --all
	git commit --quiet --allow-empty --allow-empty-message -m "$1"
}
merge() { # message, heads...
	tick
	message=$1
	shift
	git merge --quiet --no-ff -m "$message" "$@"
}
numbers() { # first, last, word
	n=$1
	while [ "$n" -le "$2" ]; do
		echo "$3 $n"
		n=$((n + 1))
	done
}
git init --quiet --initial-branch=main
git config protocol.file.allow always
git config commit.gpgSign false
