# Grafts and replaced objects: the history is told as the commits themselves have it.
. "$LIB"/lib.sh
for i in 1 2 3 4; do
	echo "$i" >a.txt
	commit "change $i"
	git tag "c$i"
done
git tag previous c1
git tag new c4
echo "$(git rev-parse c4) $(git rev-parse c1)" >.git/info/grafts
git replace "$(git rev-parse c3)" "$(git rev-parse c1)"
