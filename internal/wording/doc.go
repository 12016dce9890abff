// Package wording holds the sentences that deployloop tells: in an alert, on
// the page, in a comment, in the terminal. They are pure functions over the
// vocabulary, so that each place says the same thing with the same numbers.
//
// Text from outside (operations, messages, names) is put on one line and cut
// at a rune; it is not escaped for HTML or Markdown, which only the place that
// prints it can do. Values inside a command are quoted for a POSIX shell.
// Times are UTC and written with a Z. A missing value leaves its part of the
// sentence out; no sentence claims what is not known.
package wording
