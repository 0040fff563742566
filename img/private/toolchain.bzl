"""image_toolchain: which img tool the rules run."""

visibility("//img")

def _image_toolchain_impl(ctx):
    return [platform_common.ToolchainInfo(tool_exe = ctx.file.tool_exe)]

image_toolchain = rule(
    implementation = _image_toolchain_impl,
    doc = "An img tool, to be named by a `toolchain()` of the type `TOOLCHAIN_TYPE` (for actions) or `DATA_TOOLCHAIN_TYPE` (for run targets).",
    attrs = {
        "tool_exe": attr.label(
            allow_single_file = True,
            mandatory = True,
            doc = "The `img` executable, for the platform that the `toolchain()` names.",
        ),
    },
)
