# A clone of depth three: the revision before is not in it.
. "$LIB"/lib.sh
rm -rf .git
git init --quiet --initial-branch=main origin
cd origin
for i in 1 2 3 4 5 6; do
	numbers 1 "$i" line >a.txt
	commit "change $i"
	[ "$i" != 1 ] || git tag previous
done
before=$(git rev-parse previous)
cd ..
git clone --quiet --depth=3 --no-tags "file://$PWD/origin" clone
mv clone/.git .git
git tag new
echo "$before" >.git/previous
