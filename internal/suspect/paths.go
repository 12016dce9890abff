package suspect

import (
	"path"
	"strings"
)

// kind is what a file is for, as far as its name tells.
type kind uint8

const (
	kindCode kind = iota
	kindTest
	kindDocs
	kindConfig
	kindDependency
	kindMigration
	kindFlag
	kindBuild
)

var dependencyFiles = set(`go.mod go.sum package.json package-lock.json yarn.lock pnpm-lock.yaml pom.xml build.gradle build.gradle.kts
	gradle.lockfile libs.versions.toml requirements.txt pyproject.toml poetry.lock uv.lock pipfile pipfile.lock setup.py setup.cfg cargo.toml cargo.lock gemfile
	gemfile.lock composer.json composer.lock packages.config directory.packages.props mix.exs mix.lock project.xml build.sbt`)

var docFiles = set(`license notice copying authors changelog changes contributors contributing readme release-notes codeowners todo install upgrading security`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// kindOf decides by folders and names; what it does not know is code, since a
// code change that is ruled down costs more than a text that is not.
func kindOf(file string) kind {
	lower := strings.ToLower(file)
	base := path.Base(lower)
	ext := path.Ext(base)
	stem := strings.TrimSuffix(base, ext)
	folders := "/" + strings.TrimSuffix(lower, base)
	in := func(names ...string) bool {
		for _, n := range names {
			if strings.Contains(folders, "/"+n+"/") {
				return true
			}
		}
		return false
	}
	switch {
	case dependencyFiles[base] || ext == ".csproj" || strings.HasPrefix(base, "requirements") && ext == ".txt":
		return kindDependency
	case isTest(file):
		return kindTest
	case in("migrations", "migration", "migrate", "flyway", "liquibase", "alembic") || ext == ".sql":
		return kindMigration
	case strings.Contains(stem, "featureflag") || strings.Contains(stem, "feature_flag") || strings.Contains(stem, "feature-flag") || in("flags", "featureflags", "feature-flags") || stem == "flags" || strings.HasSuffix(base, ".flags"):
		return kindFlag
	case in(".github", ".gitlab", ".circleci", ".ci") || base == "makefile" || base == "dockerfile" && !in("deploy") || base == ".gitignore" || base == ".gitattributes" || base == ".travis.yml" || base == "jenkinsfile" || base == ".editorconfig":
		return kindBuild
	case docFiles[stem] || docFiles[base] || ext == ".md" || ext == ".rst" || ext == ".adoc" || ext == ".html" && in("docs", "doc", "xdocs", "site") || in("xdocs", "docs") || base == "package.html" || base == "package-info.java" || base == "changes.xml" || strings.HasPrefix(base, "release-notes") || ext == ".png" || ext == ".jpg" || ext == ".gif" || ext == ".svg" || ext == ".ico" || ext == ".pdf":
		return kindDocs
	}
	switch ext {
	case ".yaml", ".yml", ".toml", ".ini", ".conf", ".cfg", ".properties", ".env", ".json", ".tf", ".tfvars", ".hcl", ".xml":
		return kindConfig
	case ".txt":
		return kindDocs
	}
	return kindCode
}

// isTest says whether a file holds tests, for the usual conventions.
func isTest(file string) bool {
	base := path.Base(file)
	stem := strings.TrimSuffix(base, path.Ext(base))
	folders := "/" + strings.ToLower(path.Dir(file)) + "/"
	for _, f := range []string{"/test/", "/tests/", "/__tests__/", "/testdata/", "/spec/", "/specs/", "/e2e/", "/fixtures/", "/androidtest/"} {
		if strings.Contains(folders, f) {
			return true
		}
	}
	for _, suffix := range []string{"Test", "Tests", "TestCase", "IT", "Spec", "_test", "_spec", ".test", ".spec", "-test"} {
		if strings.HasSuffix(stem, suffix) && len(stem) > len(suffix) {
			return true
		}
	}
	return strings.HasPrefix(stem, "test_") || stem == "conftest"
}

// samePath says how surely a path that a runtime told (in a container, a
// package, a build folder) is the repository's path: 1 when one ends with the
// other, less when only the last elements are the same, 0 when not.
func samePath(told, repository string) float64 {
	told = strings.TrimPrefix(strings.TrimPrefix(strings.ReplaceAll(told, `\`, "/"), "./"), "/")
	if told == "" || repository == "" || path.Base(told) != path.Base(repository) {
		return 0
	}
	if told == repository || strings.HasSuffix(told, "/"+repository) || strings.HasSuffix(repository, "/"+told) {
		return 1
	}
	a, b := strings.Split(told, "/"), strings.Split(repository, "/")
	same := 0
	for same < len(a) && same < len(b) && a[len(a)-1-same] == b[len(b)-1-same] {
		same++
	}
	if same >= 3 {
		return .9
	}
	if same == 2 {
		return .7
	}
	return 0 // "main.go" and "index.ts" are everywhere
}
