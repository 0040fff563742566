"""img_deploy_tool: the img binary for the platform that is built for, as run targets need it."""

load("//img/private:providers.bzl", "DeployToolInfo")

visibility("//img")

def _img_deploy_tool_impl(ctx):
    tool = ctx.file.tool_exe or ctx.toolchains["//img:data_toolchain_type"].data_tool_exe
    return [DefaultInfo(files = depset([tool])), DeployToolInfo(tool = tool)]

img_deploy_tool = rule(
    implementation = _img_deploy_tool_impl,
    doc = "Provides the img tool that `image_push` and its siblings become when they run.",
    attrs = {
        "tool_exe": attr.label(
            allow_single_file = True,
            doc = "An img executable to use instead of the one of the toolchain: a file, or a target, which is built for the machine that `tool_cfg` says.",
        ),
    },
    provides = [DeployToolInfo],
    toolchains = ["//img:data_toolchain_type"],
)
