# The epoch, 2100, and a date that is none.
. "$LIB"/lib.sh
echo a >a.txt
commit start
git tag previous
echo b >a.txt
git add --all
GIT_AUTHOR_DATE="@0 +0000" GIT_COMMITTER_DATE="@0 +0000" git commit --quiet -m "At the epoch"
echo c >a.txt
git add --all
GIT_AUTHOR_DATE="@4102444800 +1400" GIT_COMMITTER_DATE="@4102444800 +1400" git commit --quiet -m "In 2100"
echo d >a.txt
git add --all
tree=$(git write-tree)
broken=$(printf 'tree %s\nparent %s\nauthor Ada\ncommitter Ada <ada@shop.example>\n\nNo date at all\n' "$tree" "$(git rev-parse HEAD)" | git hash-object -t commit -w --stdin --literally)
git reset --quiet --hard "$broken"
git tag new
