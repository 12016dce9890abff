# A force-push: the revision before is no ancestor of the new one.
. "$LIB"/lib.sh
echo base >base.txt
commit base
git checkout --quiet -b old
echo old >old.txt
commit "Before the rebase"
git tag previous
git checkout --quiet main
echo upstream >upstream.txt
commit Upstream
git checkout --quiet -b rebased
echo old >old.txt
commit "After the rebase"
git tag new
