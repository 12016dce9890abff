# Commits that change nothing, and messages without a word.
. "$LIB"/lib.sh
commit start
git tag previous
commit ""
commit "trigger the build"
echo a >a.txt
commit "the only change"
commit "   "
git tag new
