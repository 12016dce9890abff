# Three thousand files in one commit, and six thousand places in one file.
. "$LIB"/lib.sh
numbers 1 18000 line >places.txt
commit start
git tag previous
sed -i 's/^line \([0-9]*[0369]\)$/LINE \1/' places.txt
commit "Thousands of places"
mkdir many
i=0
while [ $i -lt 3000 ]; do
	: >"many/$i.txt"
	i=$((i + 1))
done
commit "Thousands of files"
git tag new
