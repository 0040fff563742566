"""esbuild, at the version of go.mod beside this file, built by the Go of this machine."""

def _esbuild_impl(rctx):
    go = rctx.which("go")
    if not go:
        fail("esbuild is built from source, and there is no `go` on PATH: install Go (https://go.dev/dl)")
    rctx.symlink(rctx.attr._go_mod, "go.mod")
    rctx.symlink(rctx.attr._go_sum, "go.sum")
    built = rctx.execute([go, "build", "-mod=readonly", "-trimpath", "-o", "esbuild.exe", "tool"], environment = {"CGO_ENABLED": "0"})
    if built.return_code:
        fail("go build esbuild:\n" + built.stderr)
    rctx.file("BUILD.bazel", "exports_files([\"esbuild.exe\"])")

esbuild = repository_rule(
    implementation = _esbuild_impl,
    doc = "The program esbuild, for this machine.",
    attrs = {
        "_go_mod": attr.label(default = "//esbuild:go.mod"),
        "_go_sum": attr.label(default = "//esbuild:go.sum"),
    },
    environ = ["GOMODCACHE", "GOPROXY", "PATH"],
)
