# A submodule that is added, moved on, replaced by files and gone.
. "$LIB"/lib.sh
git init --quiet --initial-branch=main lib.git
(cd lib.git && echo 'int x;' >lib.c && commit library && echo 'int y;' >>lib.c && commit more)
library=$PWD/lib.git
echo lib.git >.gitignore
commit start
git tag previous
add() { git update-index --add --cacheinfo "160000,$(git -C "$library" rev-parse "$1"),vendor/lib"; tick; git commit --quiet -m "$2"; }
add main~1 "Add the library"
add main "Move the library on"
git rm --quiet --cached vendor/lib
mkdir -p vendor/lib
echo 'int z;' >vendor/lib/lib.c
commit "Keep the library's code here"
git tag new
