# A megabyte of a message, Latin-1, control characters, and what looks like the log itself.
. "$LIB"/lib.sh
echo a >a.txt
commit start
git tag previous
echo b >a.txt
git add --all
tick
yes "A message may be as long as somebody likes." | head -n 25000 | git commit --quiet --file=-
echo c >a.txt
git add --all
tick
printf 'Gr\374\337e aus K\366ln\n' | git -c i18n.commitEncoding=ISO-8859-1 commit --quiet --file=-
echo d >a.txt
git add --all
tick
printf 'Colours \033[31m and bytes \001\n\ncommit 0123\n@@ -1 +1 @@\ndiff --git a/a.txt b/a.txt\n:100644 100644 a b M\ta.txt\n' | git commit --quiet --cleanup=verbatim --file=-
echo e >a.txt
git add --all
GIT_AUTHOR_NAME="$(printf 'A\tB "C" <x>')" git commit --quiet -m "Odd author"
git tag new
