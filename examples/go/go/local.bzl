"""The Go of this machine."""

def _local_go_impl(rctx):
    go = rctx.which("go")
    if not go:
        fail("there is no `go` on PATH: install Go (https://go.dev/dl)")
    cache = rctx.execute([go, "env", "GOCACHE"]).stdout.strip()
    rctx.file("BUILD.bazel")
    rctx.file("go.bzl", "GO = %r\nGOCACHE = %r\n" % (str(go), cache))

local_go = repository_rule(
    implementation = _local_go_impl,
    doc = "Where the Go of this machine and its cache are.",
    environ = ["PATH"],
    local = True,
)
