"""image_toolchain: which img tool the rules run, and how Bazel may run it."""

load(":bazel_flag.bzl", "BazelFlagInfo")

visibility("//img")

# How build verbs may run: each as a process, whose output paths Bazel may map, or as requests to a persistent worker.
_PROCESS = {"supports-path-mapping": "1"}

# A worker takes many requests at a time, sandboxed or not, and can end each. It is started as `img VERB --persistent_worker`, and sent the
# lines of the request that a process would read from its parameter file.
_WORKER = _PROCESS | {
    "requires-worker-protocol": "json",
    "supports-multiplex-sandboxing": "1",
    "supports-multiplex-workers": "1",
    "supports-worker-cancellation": "1",
    "supports-workers": "1",
}

def _image_toolchain_impl(ctx):
    return [platform_common.ToolchainInfo(
        tool_exe = ctx.file.tool_exe,
        # Bazel hands mapped paths even to a worker without a sandbox, where they lead nowhere.
        execution_requirements = _PROCESS if ctx.attr._mapped_paths[BazelFlagInfo].enabled else _WORKER,
    )]

image_toolchain = rule(
    implementation = _image_toolchain_impl,
    doc = "An img tool, to be named by a `toolchain()` of the type `TOOLCHAIN_TYPE` (for actions) or `DATA_TOOLCHAIN_TYPE` (for run targets).",
    attrs = {
        "tool_exe": attr.label(
            allow_single_file = True,
            mandatory = True,
            doc = "The `img` executable, for the platform that the `toolchain()` names.",
        ),
        "_mapped_paths": attr.label(default = "//img/private:mapped_paths", providers = [BazelFlagInfo]),
    },
)
