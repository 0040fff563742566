"""The action ImgLayout: an image as files, an OCI layout or an archive of one that is a docker archive too. The verb is `img layout`."""

load("//img/private:image.bzl", "index_of", "layers_of", "manifests_of")
load("//img/private:request.bzl", "layout_layer_records", "name_records", "record", "request")

visibility("//img/private/rules/...")

def layout_action(ctx, *, tool, image, format, output, shallow, names = None, tag_file = None, templates = None):
    """Declares the action that writes an image as files.

    Args:
      ctx: the rule's context.
      tool: (toolchain info) the img tool.
      image: (ImageManifestInfo|ImageIndexInfo).
      format: (str) directory or archive.
      output: (str) base name of what is written.
      shallow: (bool) whether layers that are not here are left out; otherwise they fail the action.
      names: (list of str|None) what loaders call the image.
      tag_file: (File|None) more names, one a line.
      templates: (struct|None) what template_data() returns; None when there is no template.

    Returns:
      File: the directory or the archive.
    """
    declare = ctx.actions.declare_directory if format == "directory" else ctx.actions.declare_file
    out = declare(output)
    manifests = manifests_of(image)
    blobs = [f for m in manifests for f in [m.manifest, m.config]] + ([index_of(image)] if index_of(image) else [])
    layers = layers_of(image)
    args = request(
        ctx,
        "layout",
        format = format,
        shallow = shallow or None,
        names = names or None,
        **(templates.header if templates else {})
    )
    record(args, "root", [index_of(image) or image.manifest])
    record(args, "blob", blobs)
    layout_layer_records(args, layers)
    inputs = blobs + [layer.metadata for layer in layers] + [layer.blob for layer in layers if layer.blob]
    inputs += name_records(args, tag_file, templates, manifests[0])
    record(args, "out", [out])
    ctx.actions.run(
        executable = tool.tool_exe,
        arguments = ["layout", args],
        inputs = inputs,
        outputs = [out],
        mnemonic = "ImgLayout",
        progress_message = "Writing image %{label} as files",
        toolchain = Label("//img:toolchain_type"),
        execution_requirements = {"supports-path-mapping": "1"},
    )
    return out

def layout_groups(ctx, *, tool, image, shallow):
    """Declares the layouts that every image has as output groups.

    Args:
      ctx: the rule's context.
      tool: (toolchain info) the img tool.
      image: (ImageManifestInfo|ImageIndexInfo).
      shallow: (bool) whether layers that are not here are left out.

    Returns:
      dict of output group → depset of File.
    """
    name = ctx.label.name
    return {
        "oci_layout": depset([layout_action(ctx, tool = tool, image = image, format = "directory", output = name + ".layout", shallow = shallow)]),
        "oci_tarball": depset([layout_action(ctx, tool = tool, image = image, format = "archive", output = name + ".layout.tar", shallow = shallow)]),
    }
