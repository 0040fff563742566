"""image_load: a run target that hands an image to a container daemon."""

load("//img/private:base.bzl", "pulls_of")
load("//img/private:caches.bzl", "CACHE_ATTRS", "caches")
load("//img/private:providers.bzl", "DeployInfo", "ImageIndexInfo", "ImageManifestInfo")
load("//img/private:run_target.bzl", "RUN_ATTRS", "auth_file", "deploy_files", "places_of", "run_target")
load("//img/private:settings.bzl", "auto", "setting")
load("//img/private:shallow.bzl", "SHALLOW_ATTRS", "shallow_layouts")
load("//img/private:stamping.bzl", "TEMPLATE_ATTRS", "is_template", "template_data")
load("//img/private:tags.bzl", "TAG_ATTRS", "tags_of")
load("//img/private/actions:layout.bzl", "layout_action")
load("//img/private/actions:plan.bzl", "plan_action")

visibility("//img")

def _image_load_impl(ctx):
    strategy = auto(ctx.attr.strategy, ctx.attr._strategy)
    image = ctx.attr.image[ImageIndexInfo] if ImageIndexInfo in ctx.attr.image else ctx.attr.image[ImageManifestInfo]
    tags = tags_of(ctx)
    tool = ctx.toolchains["//img:toolchain_type"]
    templates = template_data(ctx, True) if ctx.file.tag_file or is_template(tags) else None
    places = places_of(ctx, image, at_hand = strategy == "eager")
    plan = plan_action(
        ctx,
        tool = tool,
        image = image,
        pull = pulls_of(ctx.attr.image, image),
        tag_file = ctx.file.tag_file,
        templates = templates,
        places = places,
        operation = "load",
        daemon = auto(ctx.attr.daemon, ctx.attr._daemon),
        tags = tags or None,
        strategy = strategy,
        auth_file = auth_file(ctx),
        **caches(ctx, [strategy])
    )
    archive = layout_action(
        ctx,
        tool = tool,
        image = image,
        format = "archive",
        output = ctx.label.name + ".tar",
        shallow = shallow_layouts(ctx),
        names = tags,
        tag_file = ctx.file.tag_file,
        templates = templates,
    )
    files = deploy_files(ctx, "load", places)
    return [
        run_target(ctx, plan, files),
        OutputGroupInfo(deploy_manifest = depset([plan]), tarball = depset([archive])),
        DeployInfo(image = image, deploy_manifest = plan, layer_hints = None),
        files,
    ]

image_load = rule(
    implementation = _image_load_impl,
    doc = """Loads an image into a container daemon: `bazel run //:load`, and after `--`, `--tag X` (repeatable), `--platform P[,P…]|all`.

The target is the img tool itself, beside a plan. It hands over what the daemon lacks, where the daemon can say. stdout has the digest and
then the names; progress and a summary go to stderr.

Output groups: `deploy_manifest` (the plan), `tarball` (a docker archive that is an OCI layout too, with the names in it).
""",
    attrs = CACHE_ATTRS | TEMPLATE_ATTRS | SHALLOW_ATTRS | TAG_ATTRS | RUN_ATTRS | {
        "daemon": attr.string(
            default = "auto",
            values = ["auto", "docker", "containerd", "podman", "generic"],
            doc = "Who loads the image; `generic` runs `$LOADER_BINARY load` with a docker archive on its standard input. `auto` is the setting `load_daemon`.",
        ),
        "image": attr.label(
            doc = "What to load.",
            mandatory = True,
            providers = [[ImageManifestInfo], [ImageIndexInfo]],
        ),
        "strategy": attr.string(
            default = "auto",
            values = ["auto", "eager", "lazy"],
            doc = "Where the bytes of layers come from: `eager`, from the build's outputs; `lazy`, from Bazel's remote cache when the daemon lacks them. `auto` is the setting `load_strategy`.",
        ),
        "_daemon": setting("load_daemon"),
        "_strategy": setting("load_strategy"),
    },
    executable = True,
    provides = [DeployInfo],
    toolchains = ["//img:toolchain_type"],
)
