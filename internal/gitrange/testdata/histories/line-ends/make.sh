# CRLF, mixed, only carriage returns, a byte order mark and control characters.
. "$LIB"/lib.sh
git config core.autocrlf false
printf 'one\r\ntwo\r\nthree\r\n' >dos.txt
commit start
git tag previous
printf 'one\ntwo\nthree\n' >dos.txt
commit "To Unix"
printf '\357\273\277one\r\ntwo\nthree\rfour\033[31m\001\n' >dos.txt
commit "Mixed"
printf 'a\rb\rc' >mac.txt
printf '@@ -1 +1 @@\n-- a/x\n++ b/x\ndiff --git a/x b/x\n' >diff-like.txt
commit "Old Mac, and a text that looks like a diff"
printf '@@ -1 +1 @@\n--- a/x\n+++ b/y\ndiff --git a/x b/y\n' >diff-like.txt
commit "It still does"
git tag new
