"""The action ImgLayer: files in, one layer and its metadata out. The verb is `img layer`."""

load("//img/private:compression.bzl", "EXTENSION")
load("//img/private:request.bzl", "empty_records", "plain_record", "record", "request", "runfile_records", "runfile_symlink_records")

visibility("//img/private/rules/...")

def layer_action(
        ctx,
        *,
        tool,
        contents,
        symlinks,
        compression,
        create_parents,
        tree_artifacts,
        annotations,
        annotations_file,
        default_metadata,
        file_metadata):
    """Declares the action that makes one layer.

    Args:
      ctx: the rule's context.
      tool: (toolchain info) the img tool.
      contents: (list of struct) path, files (depset) that go to it or, with into, into it, inputs (depset) and runfiles: None, or an
        executable's with its repo_mapping (File|None).
      symlinks: (dict) path in the image → target text.
      compression: (dict) what compression() returns.
      create_parents: (bool) whether missing parent directories get an entry.
      tree_artifacts: (str) full or deduplicate_symlink.
      annotations: (dict) of the layer's descriptor.
      annotations_file: (File|None) more of them.
      default_metadata: (dict|None) metadata of every entry.
      file_metadata: (dict) path in the image → metadata.

    Returns:
      struct(blob, metadata): the two Files it declared.
    """
    blob = ctx.actions.declare_file(ctx.label.name + EXTENSION[compression["compress"]])
    metadata = ctx.actions.declare_file(ctx.label.name + ".metadata.json")
    args = request(
        ctx,
        "layer",
        create_parents = create_parents,
        tree_artifacts = tree_artifacts,
        annotations = annotations or None,
        default_metadata = default_metadata,
        file_metadata = file_metadata or None,
        **compression
    )
    record(args, "blob", [blob])
    record(args, "metadata", [metadata])
    inputs = []
    for c in contents:
        _add_content(args, c, ctx.workspace_name)
        inputs.append(c.inputs)
    for path, target in symlinks.items():
        plain_record(args, "symlink", path = path, target = target)
    if annotations_file:
        record(args, "annotations", [annotations_file])
        inputs.append(depset([annotations_file]))
    ctx.actions.run(
        executable = tool.tool_exe,
        arguments = ["layer", args],
        inputs = depset(transitive = inputs),
        outputs = [blob, metadata],
        mnemonic = "ImgLayer",
        progress_message = "Making layer %{label}",
        toolchain = Label("//img:toolchain_type"),
        execution_requirements = tool.execution_requirements,
    )
    return struct(blob = blob, metadata = metadata)

def _add_content(args, content, workspace):
    into = {"into": True} if content.into else {}
    record(args, "file", content.files, path = content.path, **into)
    if not content.runfiles:
        return
    under = content.path + ".runfiles"
    main = under + "/" + workspace
    runfile_records(args, under, content.runfiles.files, workspace)
    runfile_symlink_records(args, main, content.runfiles.symlinks)
    runfile_symlink_records(args, under, content.runfiles.root_symlinks)
    empty_records(args, main, content.runfiles.empty_filenames)
    if content.repo_mapping:
        record(args, "file", [content.repo_mapping], path = under + "/_repo_mapping")
        record(args, "file", [content.repo_mapping], path = content.path + ".repo_mapping")
