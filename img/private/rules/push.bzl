"""image_push: a run target that sends an image to a registry."""

load("//img/private:base.bzl", "only_pull")
load("//img/private:literal.bzl", "literal", "not_yet")
load("//img/private:providers.bzl", "DeployInfo", "DeployToolInfo", "ImageIndexInfo", "ImageManifestInfo")
load("//img/private:settings.bzl", "auto", "setting")
load("//img/private:transitions.bzl", "host")
load("//img/private/actions:plan.bzl", "plan_action")

visibility("//img")

def _image_push_impl(ctx):
    not_yet(ctx, ["build_settings", "tag_file"])
    strategy = auto(ctx.attr.strategy, ctx.attr._strategy)
    if strategy != "eager":
        fail("{}: strategy: {} is not available in this version of rules_img: use eager".format(ctx.label, repr(strategy)))
    if ctx.attr.tool_cfg != "host":
        fail("{}: tool_cfg: {} is not available in this version of rules_img: use host".format(ctx.label, repr(ctx.attr.tool_cfg)))
    image = ctx.attr.image[ImageIndexInfo] if ImageIndexInfo in ctx.attr.image else ctx.attr.image[ImageManifestInfo]
    pull = only_pull(ctx.attr.image)
    made = plan_action(
        ctx,
        tool = ctx.toolchains["//img:toolchain_type"],
        image = image,
        pull = [pull] if pull else [],
        operation = "push",
        registry = literal(ctx, "registry", ctx.attr.registry),
        repository = literal(ctx, "repository", ctx.attr.repository),
        tags = [literal(ctx, "tag", t) for t in _tags(ctx)] or None,
        strategy = strategy,
    )
    tool = ctx.attr.deploy_tool[0][DeployToolInfo].tool
    run = ctx.actions.declare_file(ctx.label.name + (".exe" if tool.extension == "exe" else ""))
    ctx.actions.symlink(output = run, target_file = tool, is_executable = True)
    return [
        DefaultInfo(
            executable = run,
            files = depset([run, made.plan]),
            runfiles = ctx.runfiles(files = made.blobs + [made.plan]),
        ),
        OutputGroupInfo(deploy_manifest = depset([made.plan])),
        DeployInfo(image = image, deploy_manifest = made.plan, layer_hints = None),
    ]

def _tags(ctx):
    if ctx.attr.tag and ctx.attr.tag_list:
        fail("{}: tag and tag_list are both set: use one".format(ctx.label))
    return [ctx.attr.tag] if ctx.attr.tag else ctx.attr.tag_list

image_push = rule(
    implementation = _image_push_impl,
    doc = """Pushes an image to a registry: `bazel run //:push`, and after `--`, `--tag X` (repeatable), `--registry X`, `--repository X`.

The target is the img tool itself, beside a plan. It sends what the registry lacks, children before parents, and tags last. stdout has
`registry/repository@sha256:…` and a line for each tag; progress and a summary go to stderr. Without a tag the push is by digest. The
protocol is the OCI distribution specification's.

Output group: `deploy_manifest` (the plan).
""",
    attrs = {
        "build_settings": attr.string_keyed_label_dict(
            doc = "Name → build setting whose value templates can use.",
        ),
        "deploy_tool": attr.label(
            cfg = host,
            default = "//img/deploy_tool",
            doc = "The img tool that the target becomes.",
            providers = [DeployToolInfo],
        ),
        "image": attr.label(
            doc = "What to push.",
            mandatory = True,
            providers = [[ImageManifestInfo], [ImageIndexInfo]],
        ),
        "registry": attr.string(
            doc = "Host, or host:port, of the registry. Empty: Docker Hub.",
        ),
        "repository": attr.string(
            doc = "Repository in the registry.",
            mandatory = True,
        ),
        "stamp": attr.string(
            default = "auto",
            values = ["auto", "enabled", "disabled"],
            doc = "Whether templates see the workspace status.",
        ),
        "strategy": attr.string(
            default = "auto",
            values = ["auto", "eager", "lazy", "cas_registry", "bes"],
            doc = "How the bytes get there. `auto` is the setting `push_strategy`.",
        ),
        "tag": attr.string(
            doc = "Tag to set.",
        ),
        "tag_file": attr.label(
            allow_single_file = True,
            doc = "File with a tag on each line, added to the others.",
        ),
        "tag_list": attr.string_list(
            doc = "Tags to set, instead of `tag`.",
        ),
        "tool_cfg": attr.string(
            default = "host",
            values = ["host", "target"],
            doc = "Which machine runs the target: the one that runs Bazel, or the one that is built for.",
        ),
        "_strategy": setting("push_strategy"),
    },
    executable = True,
    provides = [DeployInfo],
    toolchains = ["//img:toolchain_type"],
)
