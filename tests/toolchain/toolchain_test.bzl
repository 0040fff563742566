"""Analysis tests of which tool is used: a toolchain that is registered first, and deploy_tool."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//img:providers.bzl", "DeployInfo")
load("//tests:testing.bzl", "action", "contains")

# A toolchain of one's own, and a platform to build for that has another.
_OWN = {
    "//command_line_option:extra_toolchains": str(Label("//tests/toolchain:all")),
    "//command_line_option:platforms": str(Label("//tests:linux_arm64")),
}

def _own_toolchain_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.equals(env, "tests/toolchain/own_img", action(env, ctx.attr.mnemonic).argv[0])
    return analysistest.end(env)

own_toolchain_test = analysistest.make(
    _own_toolchain_impl,
    attrs = {"mnemonic": attr.string(mandatory = True)},
    config_settings = _OWN,
)

def _run_tool_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    executable = target[DefaultInfo].files_to_run.executable
    made = [a for a in analysistest.target_actions(env) if executable in a.outputs.to_list()]
    asserts.equals(env, [ctx.attr.tool], [f.short_path for a in made for f in a.inputs.to_list()])
    asserts.equals(env, target.label.name + ctx.attr.extension, executable.basename)
    contains(env, target[DeployInfo].deploy_manifest, target[DefaultInfo].default_runfiles.files.to_list(), "runfiles")
    return analysistest.end(env)

_RUN_ATTRS = {"extension": attr.string(), "tool": attr.string(mandatory = True)}

# What a target runs, when it is built for this machine or another.
run_tool_test = analysistest.make(_run_tool_impl, attrs = _RUN_ATTRS, config_settings = _OWN)

# The same, with toolchains of a tool that is built.
_BUILT = _OWN | {"//command_line_option:extra_toolchains": str(Label("//tests/toolchain/built:all"))}

def _is_for_execution(path):
    return "-exec" in path.split("/")[1]

def _built_toolchain_impl(ctx):
    env = analysistest.begin(ctx)
    tool = action(env, "ImgLayer").argv[0]
    asserts.true(env, tool.endswith("/built_img") and _is_for_execution(tool), "actions run " + tool)
    return analysistest.end(env)

built_toolchain_test = analysistest.make(_built_toolchain_impl, config_settings = _BUILT)

def _built_run_tool_impl(ctx):
    env = analysistest.begin(ctx)
    executable = analysistest.target_under_test(env)[DefaultInfo].files_to_run.executable
    for a in analysistest.target_actions(env):
        if executable in a.outputs.to_list():
            tool = a.inputs.to_list()[0].path
            asserts.true(env, tool.endswith("/built_img") and not _is_for_execution(tool), "the target becomes " + tool)
    return analysistest.end(env)

built_run_tool_test = analysistest.make(_built_run_tool_impl, config_settings = _BUILT)
