# Roots without a common history, one merged into the other.
. "$LIB"/lib.sh
echo a >a.txt
commit start
git tag previous
git checkout --quiet --orphan second
git rm --quiet -rf .
echo b >b.txt
commit "Another root"
git checkout --quiet main
tick
git merge --quiet --no-ff --allow-unrelated-histories -m "Take in another repository" second
git tag new
