# A squash merge with the messages of what it holds, told with its pull request.
. "$LIB"/lib.sh
git remote add origin https://github.com/acme/shop.git
echo a >a.txt
commit start
git tag previous
git checkout --quiet -b topic
echo b >b.txt
commit "Part one"
echo c >>b.txt
commit "Part two"
git checkout --quiet main
git merge --quiet --squash topic >/dev/null
tick
git commit --quiet -m "Sell more (#42)

* Part one
* Part two"
git tag new
