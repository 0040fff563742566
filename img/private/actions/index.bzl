"""The action ImgIndex: descriptors of manifests in, an index and its digest out. The verb is `img index`."""

load("//img/private:request.bzl", "record", "request")

visibility("//img/private/rules/...")

def index_action(ctx, *, tool, descriptors, annotations):
    """Declares the action that makes an index.

    Args:
      ctx: the rule's context.
      tool: (toolchain info) the img tool.
      descriptors: (list of File) of the manifests, in order.
      annotations: (dict) of the index.

    Returns:
      struct(index, digest): the Files it declared.
    """
    out = struct(
        index = ctx.actions.declare_file(ctx.label.name + ".index.json"),
        digest = ctx.actions.declare_file(ctx.label.name + ".digest"),
    )
    args = request(ctx, "index", name = str(ctx.label), annotations = annotations or None)
    record(args, "descriptor", descriptors)
    record(args, "index", [out.index])
    record(args, "digest", [out.digest])
    ctx.actions.run(
        executable = tool.tool_exe,
        arguments = ["index", args],
        inputs = descriptors,
        outputs = [out.index, out.digest],
        mnemonic = "ImgIndex",
        progress_message = "Making index %{label}",
        toolchain = "//img:toolchain_type",
        execution_requirements = {"supports-path-mapping": "1"},
    )
    return out
