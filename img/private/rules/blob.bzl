"""A blob in a registry, which a build pulls when something asks for it."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("//img/private:providers.bzl", "DeployToolInfo")
load("//img/private:settings.bzl", "setting")
load("//img/private:transitions.bzl", "tool_platform")
load("//img/private/actions:blob.bzl", "blob_action")

# Loaded by the BUILD files that repository rules write.
visibility("public")

def _blob_impl(ctx):
    made = blob_action(
        ctx,
        tool = ctx.attr._tool[0][DeployToolInfo].tool,
        registries = ctx.attr.registries,
        repository = ctx.attr.repository,
        digest = ctx.attr.digest,
        size = int(ctx.attr.bytes),
        auth_file = ctx.attr._docker_config_path[BuildSettingInfo].value,
    )
    return [DefaultInfo(files = depset([made.blob]))]

blob = rule(
    implementation = _blob_impl,
    doc = "A blob by its digest. Its default output is the blob, pulled by a build action.",
    attrs = {
        "digest": attr.string(mandatory = True),
        "registries": attr.string_list(mandatory = True),
        "repository": attr.string(mandatory = True),
        "bytes": attr.string(doc = "How many. A string, since it may be more than an attribute's integer holds.", mandatory = True),
        # The tool for the machine that runs Bazel.
        "tool_cfg": attr.string(default = "host", values = ["host"]),
        "_docker_config_path": setting("docker_config_path"),
        "_tool": attr.label(cfg = tool_platform, default = "//img/deploy_tool", providers = [DeployToolInfo]),
    },
)
