# Binary files that appear, change, become text and go.
. "$LIB"/lib.sh
printf '\211PNG\000\000\001' >logo.png
commit start
git tag previous
printf '\211PNG\000\000\002' >logo.png
printf 'PK\003\004\000\000' >archive.bin
commit "New logo"
echo 'now text' >logo.png
commit "Logo as text"
git rm --quiet archive.bin
commit "No archive"
git tag new
