# Two merges of each other's parents: several merge bases.
. "$LIB"/lib.sh
numbers 1 10 line >a.txt
commit start
git checkout --quiet -b left
echo l >l.txt
commit Left
git checkout --quiet -b right main
echo r >r.txt
commit Right
git checkout --quiet left
merge "Right into left" right
git tag previous
git checkout --quiet right
merge "Left into right" left~1
echo more >more.txt
commit More
git tag new
