# Four heads at once, one of which the merge itself had to mend.
. "$LIB"/lib.sh
numbers 1 30 line >a.txt
commit start
git tag previous
for arm in one two three; do
	git checkout --quiet -b "$arm" previous
	echo "$arm" >"$arm.txt"
	commit "$arm"
done
git checkout --quiet main
merge "Merge one, two and three" one two three
echo mended >>one.txt
git add --all
tick
git commit --quiet --amend -m "Merge one, two and three, and mend one"
git tag new
