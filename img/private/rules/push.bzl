"""image_push: a run target that sends an image to a registry."""

load("//img/private:base.bzl", "pulls_of")
load("//img/private:caches.bzl", "CACHE_ATTRS", "caches")
load("//img/private:compression.bzl", "DIGEST_ATTRS", "further_digest")
load("//img/private:providers.bzl", "DeployInfo", "ImageIndexInfo", "ImageManifestInfo")
load("//img/private:run_target.bzl", "RUN_ATTRS", "auth_file", "deploy_files", "places_of", "run_target")
load("//img/private:settings.bzl", "auto", "setting")
load("//img/private:stamping.bzl", "TEMPLATE_ATTRS", "is_template", "template_data")
load("//img/private:tags.bzl", "TAG_ATTRS", "tags_of")
load("//img/private/actions:plan.bzl", "plan_action")

visibility("//img")

def _image_push_impl(ctx):
    strategy = auto(ctx.attr.strategy, ctx.attr._strategy)
    image = ctx.attr.image[ImageIndexInfo] if ImageIndexInfo in ctx.attr.image else ctx.attr.image[ImageManifestInfo]
    tags = tags_of(ctx)
    templated = ctx.file.tag_file or is_template(tags + [ctx.attr.registry, ctx.attr.repository])
    places = places_of(ctx, image, at_hand = strategy == "eager")
    plan = plan_action(
        ctx,
        tool = ctx.toolchains["//img:toolchain_type"],
        image = image,
        pull = pulls_of(ctx.attr.image, image),
        tag_file = ctx.file.tag_file,
        templates = template_data(ctx, True) if templated else None,
        places = places,
        operation = "push",
        registry = ctx.attr.registry or None,
        repository = ctx.attr.repository,
        tags = tags or None,
        strategy = strategy,
        auth_file = auth_file(ctx),
        further_digest = further_digest(ctx),
        **caches(ctx, [strategy])
    )
    files = deploy_files(ctx, "push", places, bes = strategy == "bes")
    return [
        run_target(ctx, plan, files),
        OutputGroupInfo(deploy_manifest = depset([plan])),
        DeployInfo(image = image, deploy_manifest = plan, layer_hints = None),
        files,
    ]

image_push = rule(
    implementation = _image_push_impl,
    doc = """Pushes an image to a registry: `bazel run //:push`, and after `--`, `--tag X` (repeatable), `--registry X`, `--repository X`.

The target is the img tool itself, beside a plan. It sends what the registry lacks, children before parents, and tags last. stdout has
`registry/repository@sha256:…` and a line for each tag; progress and a summary go to stderr. Without a tag the push is by digest. The
protocol is the OCI distribution specification's.

Output group: `deploy_manifest` (the plan).
""",
    attrs = CACHE_ATTRS | DIGEST_ATTRS | TEMPLATE_ATTRS | TAG_ATTRS | RUN_ATTRS | {
        "image": attr.label(
            doc = "What to push.",
            mandatory = True,
            providers = [[ImageManifestInfo], [ImageIndexInfo]],
        ),
        "registry": attr.string(
            doc = "Host, or host:port, of the registry, such as `ghcr.io`; a template. Empty: Docker Hub.",
        ),
        "repository": attr.string(
            doc = "Repository in the registry, such as `team/app`; a template.",
            mandatory = True,
        ),
        "strategy": attr.string(
            default = "auto",
            values = ["auto", "eager", "lazy", "cas_registry", "bes"],
            doc = "How the bytes get there: `eager`, from the build's outputs; `lazy`, from Bazel's caches; `cas_registry`, to a registry that serves from Bazel's remote cache, manifests alone; `bes`, by a build event service, as soon as a build has made the target. `auto` is the setting `push_strategy`.",
        ),
        "_strategy": setting("push_strategy"),
    },
    executable = True,
    provides = [DeployInfo],
    toolchains = ["//img:toolchain_type"],
)
