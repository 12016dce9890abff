package cicd

import "github.com/deployloop/deployloop/internal/event"

// Person is who wrote something, by whichever of these names a forge tells.
type Person struct{ Name, Email, Login, Username string }

// Commit is one commit of a push, as GitHub, Gitea and GitLab alike tell it.
type Commit struct {
	ID, Message, URL         string
	Timestamp                Moment
	Author                   Person
	Added, Removed, Modified []string
}

// Change is the commit as an event; previous is what the branch pointed to before.
func (c Commit) Change(repository, branch, previous string) event.Change {
	return event.Change{
		Repository: Cut(repository, MaxText),
		Ref:        Cut(branch, MaxText),
		Revision:   Cut(c.ID, 64),
		Previous:   Cut(previous, 64),
		Message:    Cut(c.Message, MaxMessage),
		Author:     Cut(FirstText(c.Author.Name, c.Author.Login, c.Author.Username), MaxText),
		Email:      Cut(c.Author.Email, MaxText),
		At:         c.Timestamp.Time,
		URL:        WebURL(c.URL),
		Added:      CutList(c.Added, MaxPaths),
		Modified:   CutList(c.Modified, MaxPaths),
		Removed:    CutList(c.Removed, MaxPaths),
	}
}
