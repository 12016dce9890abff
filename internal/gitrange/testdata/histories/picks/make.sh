# A commit picked onto the release branch, and the same again by hand.
. "$LIB"/lib.sh
numbers 1 20 line >a.txt
commit start
git checkout --quiet -b topic
sed -i 's/line 5$/line five/' a.txt
commit "Fix five"
git checkout --quiet main
echo other >other.txt
commit "Other"
git tag previous
tick
git cherry-pick -x topic >/dev/null
commit "Picked by hand

(cherry picked from commit deadbeef)"
git tag new
