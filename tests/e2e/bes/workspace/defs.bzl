"""Images by the hundred, and a target that waits for the first of them to be pushed."""

load("@rules_img//img:image.bzl", "image_manifest")
load("@rules_img//img:layer.bzl", "image_layer")
load("@rules_img//img:push.bzl", "image_push")

def pushed(name, registry, repository, **kwargs):
    """An image of its own, and its push.

    Args:
      name: of the push.
      registry: of the push.
      repository: of the push.
      **kwargs: more of the push.
    """
    image_layer(
        name = name + ".layer",
        symlinks = {"/name": repository},
    )
    image_manifest(
        name = name + ".image",
        layers = [name + ".layer"],
    )
    image_push(
        name = name,
        image = name + ".image",
        registry = registry,
        repository = repository,
        tag = "v1",
        **kwargs
    )

def _awaited_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.run_shell(
        outputs = [out],
        command = "for i in $(seq 2500); do curl -fsS -o \"$2\" \"$1\" && exit; sleep 0.2; done; exit 1",
        arguments = [ctx.attr.url, out.path],
        execution_requirements = {"no-cache": "1", "no-sandbox": "1", "requires-network": "1"},
    )
    return [DefaultInfo(files = depset([out]))]

awaited = rule(
    implementation = _awaited_impl,
    doc = "What a URL has, once it is there.",
    attrs = {"url": attr.string()},
)

def _wrapped_impl(ctx):
    return [DefaultInfo(files = ctx.attr.target[DefaultInfo].files)]

wrapped = rule(
    implementation = _wrapped_impl,
    doc = "A rule that knows nothing of images and passes on files.",
    attrs = {"target": attr.label()},
)
