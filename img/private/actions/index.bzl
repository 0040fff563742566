"""The action ImgIndex: descriptors of manifests in, an index and its digest out. The verb is `img index`."""

load("//img/private:request.bzl", "record", "request")

visibility("//img/private/rules/...")

def index_action(ctx, *, tool, manifests, annotations, annotations_file, templates):
    """Declares the action that makes an index.

    Args:
      ctx: the rule's context.
      tool: (toolchain info) the img tool.
      manifests: (list of ImageManifestInfo) in order.
      annotations: (dict) of the index.
      annotations_file: (File|None) more of them.
      templates: (struct|None) what template_data() returns; None when there is no template.

    Returns:
      struct(index, digest): the Files it declared.
    """
    out = struct(
        index = ctx.actions.declare_file(ctx.label.name + ".index.json"),
        digest = ctx.actions.declare_file(ctx.label.name + ".digest"),
    )
    args = request(ctx, "index", annotations = annotations or None, **(templates.header if templates else {}))
    descriptors = [m.descriptor for m in manifests]
    record(args, "descriptor", descriptors)
    inputs = list(descriptors)
    if annotations_file:
        record(args, "annotations", [annotations_file])
        inputs.append(annotations_file)
    if templates:
        record(args, "status", templates.status)
        inputs += templates.status
        if manifests:
            record(args, "base_manifest", [manifests[0].manifest])
            record(args, "base_config", [manifests[0].config])
            inputs += [manifests[0].manifest, manifests[0].config]
    record(args, "index", [out.index])
    record(args, "digest", [out.digest])
    ctx.actions.run(
        executable = tool.tool_exe,
        arguments = ["index", args],
        inputs = inputs,
        outputs = [out.index, out.digest],
        mnemonic = "ImgIndex",
        progress_message = "Making index %{label}",
        toolchain = Label("//img:toolchain_type"),
        execution_requirements = tool.execution_requirements,
    )
    return out
