package bazeltest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// WithoutBzlmod are the flags that turn bzlmod off. Debian's Bazel brings a config for it, with the repositories that it has instead of the internet's.
// What Bazel itself puts into a WORKSPACE are native rules.
func WithoutBzlmod(t testing.TB) []string {
	t.Helper()
	native := "--noincompatible_disable_native_repo_rules"
	if strings.Contains(debianRC(t), "debian_workspace") {
		return []string{"--config=debian_workspace", native}
	}
	return []string{"--noenable_bzlmod", "--enable_workspace", native}
}

// Registry are the flags for a registry of modules that stands before the usual one.
func Registry(t testing.TB, dir string) []string {
	t.Helper()
	flags := []string{"--registry=file://" + dir}
	if !strings.Contains(debianRC(t), "--registry=") {
		flags = append(flags, "--registry=https://bcr.bazel.build")
	}
	return flags
}

// debianRC is the configuration that Debian's Bazel comes with, or nothing.
func debianRC(t testing.TB) string {
	b, _ := os.ReadFile(filepath.Join(filepath.Dir(Find(t)), "..", "etc", "bazelrc"))
	return string(b)
}
