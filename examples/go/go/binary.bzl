"""go_binary, in its smallest form: `go build`, for the platform that is built for."""

load("@local_go//:go.bzl", "GO", "GOCACHE")

def _go_binary_impl(ctx):
    arm64 = ctx.target_platform_has_constraint(ctx.attr._arm64[platform_common.ConstraintValueInfo])
    binary = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.run(
        executable = GO,
        arguments = ["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", binary.path, "./" + ctx.label.package],
        inputs = ctx.files.srcs,
        outputs = [binary],
        mnemonic = "GoBuild",
        progress_message = "Building %{label} with Go",
        env = {
            "CGO_ENABLED": "0",
            "GOARCH": "arm64" if arm64 else "amd64",
            "GOCACHE": GOCACHE,
            "GOOS": "linux",
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
        },
        # Go's own cache, outside of the sandbox, is what makes this quick.
        execution_requirements = {"no-remote": "", "no-sandbox": ""},
    )
    return [DefaultInfo(executable = binary, files = depset([binary]))]

go_binary = rule(
    implementation = _go_binary_impl,
    doc = "A program of the module whose go.mod is at the top of the workspace, for Linux, from the standard library and the files that are named.",
    attrs = {
        "srcs": attr.label_list(allow_files = True, doc = "Go files, and go.mod."),
        "_arm64": attr.label(default = "@platforms//cpu:aarch64"),
    },
    executable = True,
)
