# Files that move, with changes, swap names and become folders.
. "$LIB"/lib.sh
numbers 1 60 apple >a.txt
numbers 1 60 berry >b.txt
numbers 1 60 cherry >c.txt
echo d >thing
commit start
git tag previous
mkdir -p src/deep
git mv a.txt src/deep/a.txt
sed -i 's/apple 30/apple thirty/' src/deep/a.txt
commit "Move a and change a line"
git mv b.txt swap.txt
git mv c.txt b.txt
git mv swap.txt c.txt
commit "Swap b and c"
git rm --quiet thing
mkdir thing
echo inside >thing/d.txt
commit "A file becomes a folder"
git mv c.txt C.txt
commit "Only the case"
git tag new
