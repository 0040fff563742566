"""The action ImgLayerFromTar: an archive in, a layer and its metadata out. The verb is `img layer-from-tar`."""

load("//img/private:compression.bzl", "EXTENSION")
load("//img/private:request.bzl", "record", "request")

visibility("//img/private/rules/...")

def layer_from_tar_action(
        ctx,
        *,
        tool,
        name,
        src,
        source,
        compression,
        optimize = False,
        media_type = "",
        annotations = {}):
    """Declares the action that makes a layer of an archive, or only describes it when nothing about it changes.

    Args:
      ctx: the rule's context.
      tool: (toolchain info) the img tool.
      name: (str) the outputs' names begin with it.
      src: (File) the archive.
      source: (str) its compression: gzip, zstd or none.
      compression: (dict) the layer's, what compression() returns.
      optimize: (bool) whether the archive is written anew.
      media_type: (str) of the layer, or empty.
      annotations: (dict) of the layer's descriptor.

    Returns:
      struct(blob, metadata): the blob is src when nothing changes.
    """
    metadata = ctx.actions.declare_file(name + ".metadata.json")
    args = request(
        ctx,
        "layer-from-tar",
        source = source,
        optimize = optimize,
        media_type = media_type or None,
        annotations = annotations or None,
        **compression
    )
    record(args, "source", [src])
    record(args, "metadata", [metadata])
    blob, outputs = src, [metadata]
    if compression["compress"] != source or compression["estargz"] or optimize:
        blob = ctx.actions.declare_file(name + EXTENSION[compression["compress"]])
        record(args, "blob", [blob])
        outputs.append(blob)
    ctx.actions.run(
        executable = tool.tool_exe,
        arguments = ["layer-from-tar", args],
        inputs = [src],
        outputs = outputs,
        mnemonic = "ImgLayerFromTar",
        progress_message = "Making layer %{label} of an archive",
        toolchain = Label("//img:toolchain_type"),
        execution_requirements = tool.execution_requirements,
    )
    return struct(blob = blob, metadata = metadata)
