# A revert, a revert of it, a revert of a merge, and one that lies.
. "$LIB"/lib.sh
echo 1 >a.txt
commit start
git tag previous
echo 2 >a.txt
commit "Raise the limit"
tick
git revert --no-edit HEAD >/dev/null
tick
git revert --no-edit HEAD >/dev/null
git checkout --quiet -b side previous
echo side >side.txt
commit "Side"
git checkout --quiet main
merge "Merge side" side
tick
git revert --no-edit -m 1 HEAD >/dev/null
commit "Revert nothing

This reverts commit 0123456789abcdef0123456789abcdef01234567."
git tag new
