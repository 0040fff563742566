"""The action ImgFromOciLayout: a layout that another tool made is taken apart. The verb is `img from-oci-layout`."""

load("//img/private:request.bzl", "record", "request")

visibility("//img/private/rules/...")

_EXTENSION = {
    "application/vnd.oci.image.layer.v1.tar": ".tar",
    "application/vnd.oci.image.layer.v1.tar+gzip": ".tgz",
    "application/vnd.oci.image.layer.v1.tar+zstd": ".tar.zst",
}

def from_oci_layout_action(ctx, *, tool, layout, platforms, layer_types, further_digest, whole):
    """Declares the action that takes a layout apart.

    Args:
      ctx: the rule's context.
      tool: (toolchain info) the img tool.
      layout: (File) a directory or a tar.
      platforms: (list of str) os/architecture[/variant] of each manifest.
      layer_types: (list of str) media types of the layers of each manifest.
      further_digest: (str|None) blake3 when the metadata of layers has that digest too.
      whole: (bool) whether the platforms must be all that the layout has, and an index is made.

    Returns:
      struct(images, index, digest): for each platform a struct(manifest, config, descriptor, layers), layers a list of
      struct(blob, metadata); the index is None unless whole.
    """
    args = request(
        ctx,
        "from-oci-layout",
        platforms = platforms,
        layer_types = layer_types or None,
        further_digest = further_digest,
        whole = whole or None,
    )
    record(args, "layout", [layout])
    outputs = []

    def out(name, type, **which):
        file = ctx.actions.declare_file(name)
        record(args, type, [file], **which)
        outputs.append(file)
        return file

    images = []
    for i, platform in enumerate(platforms):
        below = ctx.label.name + (".{}/".format(platform.replace("/", "-")) if whole else ".")
        images.append(struct(
            manifest = out(below + "manifest.json", "manifest", manifest = i),
            config = out(below + "config.json", "config", manifest = i),
            descriptor = out(below + "descriptor.json", "descriptor", manifest = i),
            layers = [
                struct(
                    blob = out("{}layer-{}{}".format(below, n, _EXTENSION.get(t, ".blob")), "layer", manifest = i, layer = n),
                    metadata = out("{}layer-{}.metadata.json".format(below, n), "metadata", manifest = i, layer = n),
                )
                for n, t in enumerate(layer_types)
            ],
        ))
    index = out(ctx.label.name + ".index.json", "index") if whole else None
    digest = out(ctx.label.name + ".digest", "digest")
    ctx.actions.run(
        executable = tool.tool_exe,
        arguments = ["from-oci-layout", args],
        inputs = [layout],
        outputs = outputs,
        mnemonic = "ImgFromOciLayout",
        progress_message = "Taking apart layout %{label}",
        toolchain = Label("//img:toolchain_type"),
        execution_requirements = {"supports-path-mapping": "1"},
    )
    return struct(images = images, index = index, digest = digest)
