# A signed commit and a merge of a signed tag: signatures are not looked at.
. "$LIB"/lib.sh
echo a >a.txt
commit start
git tag previous
echo b >a.txt
git add --all
tick
tree=$(git write-tree)
signed=$(
	{
		echo "tree $tree"
		echo "parent $(git rev-parse HEAD)"
		echo "author Ada <ada@shop.example> $now +0100"
		echo "committer Ada <ada@shop.example> $now +0100"
		echo "gpgsig -----BEGIN PGP SIGNATURE-----"
		echo " "
		echo " bm90IGEgc2lnbmF0dXJl"
		echo " -----END PGP SIGNATURE-----"
		echo
		echo "Signed"
	} | git hash-object -t commit -w --stdin
)
git reset --quiet --hard "$signed"
git config log.showSignature true
echo c >a.txt
commit "Unsigned"
git tag new
