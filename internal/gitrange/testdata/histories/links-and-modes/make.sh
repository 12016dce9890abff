# Symbolic links, dangling too, files that become links, and modes.
. "$LIB"/lib.sh
echo a >a.txt
echo run >run.sh
commit start
git tag previous
ln -s a.txt link
ln -s /does/not/exist dangling
git add --all
git update-index --chmod=+x run.sh
tick
git commit --quiet -m "Links and a mode"
rm a.txt
ln -s run.sh a.txt
commit "A file becomes a link"
rm link
echo plain >link
commit "A link becomes a file"
git tag new
