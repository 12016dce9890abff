package logpattern

import (
	"path"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// InApp says whether a frame is the application's own code: not the language's
// standard library, not its runtime, not a package that a package manager put
// there. It decides by the file's place first and by the module's name second;
// what it cannot place is the application's (a wrong "own" frame costs a
// slightly different fingerprint, a wrong "foreign" one hides the culprit).
func InApp(f event.Frame) bool {
	file := f.File
	if file == "" && f.Module == "" && f.Function == "" {
		return false
	}
	if strings.HasPrefix(file, "<") || strings.HasPrefix(file, "[internal") {
		return false // <frozen importlib>, <internal:kernel>, <anonymous>, <native>
	}
	file = strings.ReplaceAll(file, `\`, "/")
	for _, part := range foreignPaths {
		if strings.Contains(file, part) {
			return false
		}
	}
	switch ext := path.Ext(file); ext {
	case ".go":
		return !goStandard(f)
	case ".rs":
		return !rustLibrary(f)
	case ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx":
		return !foreign(file, scriptRuntimes)
	case ".py", ".rb", ".php":
		return true
	case ".s", ".S", ".c", ".pyx", ".pxd":
		return false
	}
	if foreign(file, scriptRuntimes) {
		return false // node:internal/process has no suffix
	}
	if file == "" && strings.Contains(f.Module+f.Function, "::") {
		return !rustLibrary(f)
	}
	if f.Module == "" {
		return file != ""
	}
	return !foreign(f.Module+".", packages)
}

// foreignPaths are where package managers and toolchains put other people's code.
var foreignPaths = []string{
	"/node_modules/", "node_modules/", "/pkg/mod/", "/vendor/", "@v", "/usr/local/go/src/", "/usr/lib/go", "/go/src/runtime/",
	"/site-packages/", "/dist-packages/", "/lib/python", "/gems/", "/lib/ruby/", "/rubygems/",
	"/.cargo/registry/", "/.cargo/git/", "/rustc/", "/rustlib/", "webpack/runtime", "webpack/bootstrap",
	"/usr/include/", "/.nuget/", "/_/src/libraries/", "/_/src/coreclr/", "/Python3", "external/com_github_", "external/org_golang_",
}

var scriptRuntimes = []string{"node:", "internal/", "bun:", "ext:"}

var rustCrates = []string{
	"core::", "std::", "alloc::", "test::", "tokio::", "futures_util::", "futures_core::", "hyper::", "tower::", "backtrace::", "rayon::",
	"anyhow::", "eyre::", "color_eyre::", "actix_web::", "actix_rt::", "axum::", "axum_core::", "tonic::", "reqwest::", "h2::", "tracing::", "sqlx_core::", "serde_json::", "rocket::", "warp::",
}

// rustLibrary: "<alloc::boxed::Box<F> as …>::call" is of alloc.
func rustLibrary(f event.Frame) bool {
	return foreign(strings.TrimLeft(f.Module+"::"+f.Function, "<&:"), rustCrates) || strings.HasPrefix(f.Function, "__rust_") || f.Function == "rust_begin_unwind"
}

// packages of the JVM's and .NET's libraries and of the frameworks that stand
// between them and an application.
var packages = []string{
	"java.", "javax.", "jakarta.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.", "scala.", "groovy.", "akka.",
	"org.springframework.", "org.apache.catalina.", "org.apache.coyote.", "org.apache.tomcat.", "org.apache.tools.ant.",
	"org.apache.maven.", "org.apache.http.", "org.eclipse.jetty.", "org.hibernate.", "org.postgresql.", "com.mysql.", "com.zaxxer.hikari.",
	"org.junit.", "junit.", "org.testng.", "org.mockito.", "org.gradle.", "io.netty.", "io.grpc.", "io.opentelemetry.", "io.micrometer.",
	"io.undertow.", "com.fasterxml.", "feign.", "retrofit2.", "io.lettuce.", "com.mongodb.", "software.amazon.", "com.amazonaws.", "com.google.protobuf.",
	"io.quarkus.", "io.micronaut.", "io.ktor.", "org.jboss.", "org.apache.kafka.", "org.glassfish.", "org.jooq.", "clojure.", "android.", "androidx.", "com.android.", "dalvik.", "reactor.", "io.reactivex.", "io.vertx.", "okhttp3.", "com.google.common.", "ch.qos.logback.", "org.slf4j.",
	"System.", "Microsoft.", "Newtonsoft.", "Npgsql.", "Grpc.", "OpenTelemetry.", "NUnit.", "Xunit.", "Dapper.", "MassTransit.",
	"MediatR.", "Polly.", "Serilog.", "StackExchange.", "MongoDB.", "MySqlConnector.", "RabbitMQ.", "Hangfire.", "Castle.", "UnityEngine.", "Internal.Runtime.",
}

func foreign(module string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(module, p) {
			return true
		}
	}
	return false
}

// goStandard: a build with -trimpath tells "net/http/server.go", where only the
// first element of the import path can speak.
func goStandard(f event.Frame) bool {
	if f.Module == "" {
		return f.Function == "panic" || strings.HasPrefix(f.File, "runtime/")
	}
	first, _, _ := strings.Cut(f.Module, "/")
	if !goPackages[first] {
		return false
	}
	// "shop/errors" is no "errors": an absolute path outside GOROOT whose
	// folder is not the package's own is the application's.
	dir := path.Dir(f.File)
	return strings.HasSuffix(dir, f.Module) || !path.IsAbs(f.File)
}

var goPackages = func() map[string]bool {
	m := map[string]bool{}
	for _, p := range strings.Fields(`archive bufio bytes cmp compress container context crypto database debug embed encoding
		errors expvar flag fmt go hash html image index internal io iter log maps math mime net os path plugin reflect
		regexp runtime slices sort strconv strings sync syscall testing text time unicode unique unsafe weak`) {
		m[p] = true
	}
	return m
}()
