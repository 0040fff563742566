"""Requests to the img tool: the only place that encodes JSON for an action.

A request is a parameter file of JSON Lines: a header with what is known at analysis, then a record for each
file, written when the action runs, so that depsets stay lazy and paths can be mapped. internal/request is the other
side and states the format of each kind.
"""

load(":label.bzl", "written")

visibility(["//img/private/...", "//tests/..."])

def request(ctx, kind, version = 1, **header):
    """Starts a request.

    Args:
      ctx: the rule's context.
      kind: (str) the verb that reads it.
      version: (int) version of that kind's format.
      **header: JSON-encodable values of the header; those that are None are left out.

    Returns:
      Args that are one argument on the command line: @ and the path of the request.
    """
    args = ctx.actions.args()
    args.use_param_file("@%s", use_always = True)
    args.set_param_file_format("multiline")
    fields = {"kind": kind, "name": written(ctx.label), "version": version}
    fields.update({k: v for k, v in header.items() if v != None})
    args.add(json.encode(fields))
    return args

def record(args, type, files, **fields):
    """Adds a record for each of files, with its path in "from".

    Args:
      args: what request() returned.
      type: (str) the record's type.
      files: list or depset of File. Directories are not expanded: the tool walks them.
      **fields: more JSON-encodable fields of each record.
    """
    args.add_all(files, map_each = _from, format_each = _format(type, fields), expand_directories = False)

def runfile_records(args, under, files, workspace):
    """Adds the files of runfiles, each at its place in the tree.

    Args:
      args: what request() returned.
      under: (str) path of the runfiles directory in the image.
      files: depset of File.
      workspace: (str) name of the main repository's directory.
    """
    args.add_all(
        files,
        map_each = _runfile,
        format_each = _format("file", {"under": under + "/" + workspace}),
        expand_directories = False,
    )

def runfile_symlink_records(args, under, symlinks):
    """Adds the symlinks of runfiles: files at a path that their rule chose.

    Args:
      args: what request() returned.
      under: (str) path of the runfiles directory in the image, or of the main repository in it.
      symlinks: depset of SymlinkEntry.
    """
    args.add_all(symlinks, map_each = _runfile_symlink, format_each = _format("file", {"under": under}))

def empty_records(args, under, names):
    """Adds the empty files of runfiles.

    Args:
      args: what request() returned.
      under: (str) path of the main repository in the runfiles directory.
      names: depset of str.
    """
    args.add_all(names, map_each = _name, format_each = _format("empty", {"under": under}))

def layout_layer_records(args, layers):
    """Adds layers by their metadata and, where they have one, their blob.

    Args:
      args: what request() returned.
      layers: list of LayerInfo.
    """
    args.add_all(layers, map_each = _layout_layer, format_each = _format("layer", {}))

def name_records(args, tag_file, templates, image):
    """Adds what the names of an image are made of: more of them, and what their templates see.

    Args:
      args: what request() returned.
      tag_file: (File|None) more names, one a line.
      templates: (struct|None) what template_data() returns; None when there is no template.
      image: (ImageManifestInfo) that templates call base.

    Returns:
      list of File: inputs of the action, beside the blobs of the image.
    """
    inputs = []
    if tag_file:
        record(args, "tags", [tag_file])
        inputs.append(tag_file)
    if templates:
        record(args, "status", templates.status)
        record(args, "base_manifest", [image.manifest])
        record(args, "base_config", [image.config])
        inputs += templates.status
    return inputs

def plain_record(args, type, **fields):
    """Adds one record without a file.

    Args:
      args: what request() returned.
      type: (str) the record's type.
      **fields: its JSON-encodable fields.
    """
    args.add(json.encode(dict(type = type, **fields)))

def _format(type, fields):
    """A format_each string: the fields that all records share, then what map_each made, which lacks the brace."""
    return json.encode(dict(type = type, **fields)).replace("%", "%%")[:-1] + ",%s"

def _from(file):
    return json.encode({"from": file.path})[1:]

def _runfile(file):
    # short_path of a file of another repository is ../<canonical name>/…: the tool cleans the joined path.
    return json.encode({"path": file.short_path, "from": file.path})[1:]

def _runfile_symlink(entry):
    return json.encode({"path": entry.path, "from": entry.target_file.path})[1:]

def _name(name):
    return json.encode({"path": name})[1:]

def _layout_layer(layer):
    where = {"from": layer.metadata.path}
    if layer.blob:
        where["blob"] = layer.blob.path
    return json.encode(where)[1:]
