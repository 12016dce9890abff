# A bundle of one line of two megabytes, and a file without an end of line.
. "$LIB"/lib.sh
echo 'var a = 1;' >bundle.js
commit start
git tag previous
yes 'var a=1;' | head -n 250000 | tr -d '\n' >bundle.js
printf 'no end' >no-end.txt
commit "Bundle"
printf 'another end' >no-end.txt
commit "Still no end"
git tag new
