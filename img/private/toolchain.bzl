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
        tool_exe = ctx.file._exec_tool_exe,
        data_tool_exe = ctx.file.tool_exe,
        # Bazel hands mapped paths even to a worker without a sandbox, where they lead nowhere.
        execution_requirements = _PROCESS if ctx.attr._mapped_paths[BazelFlagInfo].enabled else _WORKER,
    )]

# A toolchain is configured for the target platform, whichever type it is registered for: what actions run has to be asked for.
def _same_tool(tool_exe):
    return tool_exe

image_toolchain = rule(
    implementation = _image_toolchain_impl,
    doc = "An img tool, to be named by a `toolchain()` of the type `TOOLCHAIN_TYPE` (for actions) or `DATA_TOOLCHAIN_TYPE` (for run targets).",
    attrs = {
        "tool_exe": attr.label(
            allow_single_file = True,
            mandatory = True,
            doc = "The `img` executable: a file for the platform that the `toolchain()` names, or a target, which is built for the execution platform where actions run it, and for the target platform where a run target becomes it.",
        ),
        "_exec_tool_exe": attr.label(
            allow_single_file = True,
            cfg = "exec",
            default = _same_tool,
        ),
        "_mapped_paths": attr.label(default = "//img/private:mapped_paths", providers = [BazelFlagInfo]),
    },
)
