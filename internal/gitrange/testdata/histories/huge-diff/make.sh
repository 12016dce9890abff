# Ten megabytes of one file between two small changes.
. "$LIB"/lib.sh
echo a >small.txt
commit start
git tag previous
yes "INSERT INTO prices VALUES (1, 'a price that is long enough to weigh something');" | head -n 120000 >prices.sql
echo b >after.txt
commit "Load the prices"
echo c >>small.txt
commit "Small again"
git tag new
