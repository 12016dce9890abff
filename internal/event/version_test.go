package event

import "testing"

func TestSameVersion(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"1.2.3", "v1.2.3", true},
		{"1.2.3", "1.2.4", false},
		{"", "", true},
		{"", "1.2.3", false},
		{"1.2.3", "v1.2.3+rs.7d9f8b6c5d", true}, // a source that knows of no rollout means any
		{"1.2.3+rs.7d9f8b6c5d", "1.2.3+rs.7d9f8b6c5d", true},
		{"1.2.3+rs.7d9f8b6c5d", "1.2.3+rs.5c59b9dd9c", false},
		{"1.2.3+rs.7d9f8b6c5d", "1.2.4+rs.7d9f8b6c5d", false},
		{"rs.7d9f8b6c5d", "1.2.3+rs.7d9f8b6c5d", true},
		{"rs.7d9f8b6c5d", "1.2.3", false},
		{"rs.7d9f8b6c5d", "", false},
		{"1.2.3", "1.2.3+hotfix1", false}, // build metadata that somebody chose
	} {
		if got := SameVersion(c.a, c.b); got != c.same {
			t.Errorf("SameVersion(%q, %q) = %v", c.a, c.b, got)
		}
		if got := SameVersion(c.b, c.a); got != c.same {
			t.Errorf("SameVersion(%q, %q) = %v", c.b, c.a, got)
		}
	}
}

func TestSameImage(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"1.2.3+rs.7d9f8b6c5d", "v1.2.3+rs.5c59b9dd9c", true},
		{"1.2.3", "1.2.3+rs.5c59b9dd9c", true},
		{"1.2.3+rs.7d9f8b6c5d", "1.2.4+rs.7d9f8b6c5d", false},
		{"rs.7d9f8b6c5d", "rs.7d9f8b6c5d", false}, // which image is not known
		{"", "", false},
	} {
		if got := SameImage(c.a, c.b); got != c.same {
			t.Errorf("SameImage(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

func TestFinerVersion(t *testing.T) {
	for _, c := range [][3]string{
		{"", "1.2.3", "1.2.3"},
		{"1.2.3", "", "1.2.3"},
		{"1.2.3", "v1.2.3", "1.2.3"},
		{"1.2.3", "1.2.3+rs.7d9f8b6c5d", "1.2.3+rs.7d9f8b6c5d"},
		{"rs.7d9f8b6c5d", "1.2.3", "1.2.3+rs.7d9f8b6c5d"},
		{"1.2.3+rs.7d9f8b6c5d", "1.2.3+rs.5c59b9dd9c", "1.2.3+rs.7d9f8b6c5d"},
		{"", "rs.7d9f8b6c5d", "rs.7d9f8b6c5d"},
	} {
		if got := FinerVersion(c[0], c[1]); got != c[2] {
			t.Errorf("FinerVersion(%q, %q) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
