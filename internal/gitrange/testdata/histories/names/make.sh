# Names that are no UTF-8, with tabs, quotes, line feeds and arrows, and ones like options.
. "$LIB"/lib.sh
echo a >plain.txt
commit start
git tag previous
echo 1 >"$(printf 'raw\377\376.txt')"
echo 2 >"$(printf 'tab\there "quoted" \303\244.txt')"
echo 3 >"$(printf 'line\nfeed.txt')"
echo 4 >'a => b.txt'
echo 5 >'--output=x'
mkdir '{a => b}' ':(glob)'
echo 6 >'{a => b}/c.txt'
echo 7 >':(glob)/d.txt'
echo 8 >"$(printf 'right\342\200\256left.txt')"
commit "Odd names"
git mv "$(printf 'raw\377\376.txt')" "$(printf 'raw\375.txt')"
commit "Rename what is no UTF-8"
git tag new
