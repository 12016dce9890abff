# The new revision has nothing to do with the one before.
. "$LIB"/lib.sh
echo a >a.txt
commit start
git tag previous
git checkout --quiet --orphan second
git rm --quiet -rf .
echo b >b.txt
commit "Another root"
echo c >>b.txt
commit "And on"
git tag new
