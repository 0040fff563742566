"""image_layer: files of a build become one layer of an image."""

load("//img/private:compression.bzl", "COMPRESSION_ATTRS", "MEDIA_TYPE", "compression")
load("//img/private:label.bzl", "written")
load("//img/private:providers.bzl", "LayerInfo")
load("//img/private:settings.bzl", "auto", "setting")
load("//img/private/actions:layer.bzl", "layer_action")

visibility("//img")

def _image_layer_impl(ctx):
    compress = auto(ctx.attr.compress, ctx.attr._compress)
    estargz = auto(ctx.attr.estargz, ctx.attr._estargz) == "enabled"
    made = layer_action(
        ctx,
        tool = ctx.toolchains["//img:toolchain_type"],
        contents = [_content(ctx, path, target) for path, target in ctx.attr.srcs.items()],
        symlinks = ctx.attr.symlinks,
        compression = compression(ctx, compress, estargz),
        create_parents = auto(ctx.attr.create_parent_directories, ctx.attr._parents) == "enabled",
        tree_artifacts = auto(ctx.attr.tree_artifact_handling, ctx.attr._trees),
        annotations = ctx.attr.annotations,
        annotations_file = ctx.file.annotations_file,
        default_metadata = _metadata(ctx, "default_metadata", ctx.attr.default_metadata) if ctx.attr.default_metadata else None,
        file_metadata = {p: _metadata(ctx, "file_metadata of %r" % p, m) for p, m in ctx.attr.file_metadata.items()},
    )
    return [
        DefaultInfo(files = depset([made.blob])),
        OutputGroupInfo(layer = depset([made.blob]), metadata = depset([made.metadata])),
        LayerInfo(blob = made.blob, metadata = made.metadata, media_type = MEDIA_TYPE[compress], estargz = estargz),
    ]

def _metadata(ctx, attribute, text):
    value = json.decode(text, default = None)
    if type(value) != "dict":
        fail("%s: %s: want what file_metadata() returns, a JSON object; got %r" % (written(ctx.label), attribute, text))
    for field, (kind, wanted) in _METADATA.items():
        if field in value and type(value[field]) != kind:
            fail("%s: %s: %s is %s: want %s" % (written(ctx.label), attribute, field, json.encode(value[field]), wanted))
    return value

# Field of file_metadata() → its type, and how to say so. What the value may be is checked when the layer is made.
_METADATA = {
    "gid": ("int", "a number"),
    "gname": ("string", "a string"),
    "mode": ("string", "a string of octal digits, such as \"0644\""),
    "mtime": ("string", "a string, such as \"2024-01-31T12:00:00Z\""),
    "pax_records": ("dict", "a dict of strings"),
    "uid": ("int", "a number"),
    "uname": ("string", "a string"),
}

def _content(ctx, path, target):
    """What one entry of srcs adds: files at a path or into it, and the runfiles of an executable."""
    info = target[DefaultInfo]
    executable = info.files_to_run.executable if info.files_to_run else None
    if executable and info.default_runfiles and not executable.is_source and ctx.attr.include_runfiles:
        return _program(path, executable, info)
    if not info.files:
        fail("%s: srcs: %s, for %r, has no default outputs: name a target that makes files" % (written(ctx.label), written(target.label), path))
    return struct(
        path = path,
        into = path.endswith("/") or len(info.files.to_list()) > 1,
        files = info.files,
        runfiles = None,
        inputs = info.files,
    )

def _program(path, executable, info):
    if path.endswith("/"):
        path += executable.basename
    mapping = info.files_to_run.repo_mapping_manifest
    return struct(
        path = path,
        into = False,
        files = depset([executable]),
        runfiles = info.default_runfiles,
        repo_mapping = mapping,
        inputs = depset(
            [executable] + ([mapping] if mapping else []),
            transitive = [info.default_runfiles.files, _symlink_files(info.default_runfiles)],
        ),
    )

def _symlink_files(runfiles):
    # Their files are inputs, and no depset of files has them, so this one is flattened. It is empty or small.
    entries = runfiles.symlinks.to_list() + runfiles.root_symlinks.to_list()
    return depset([e.target_file for e in entries])

image_layer = rule(
    implementation = _image_layer_impl,
    doc = """Makes one layer of an image out of files, symlinks and executables with their runfiles.

The blob, its digest, its diff ID and its metadata come out of one action, and are the same bytes on every machine.
Entries have mode 0755, owner 0:0 and the time 1970-01-01T00:00:00Z unless metadata says otherwise; files with the
same content and metadata are stored once.

In a directory (a tree artifact or a source directory), a symlink that leads to something in the same directory stays one, and
others are followed. A symlink that Bazel declares as one (`ctx.actions.declare_symlink`) stays one when it leads to something
in the layer, is followed when it leads to another file of the layer's inputs, and stays one otherwise. Bazel sends a remote executor
the files of a directory and not its symlinks: a layer that is made there has files, stored once, in their place. A directory without
files is an entry; empty directories in it are not, since Bazel does not keep them.

The layer follows the OCI image specification, "Image Layer Filesystem Changeset".

```starlark
image_layer(
    name = "app",
    srcs = {
        "/app/server": "//cmd/server",
        "/app/static/": ":static_files",
    },
    symlinks = {"/usr/bin/server": "/app/server"},
)
```
""",
    attrs = {
        "annotations": attr.string_dict(
            doc = "Annotations of the layer's descriptor: key → value, verbatim.",
        ),
        "annotations_file": attr.label(
            allow_single_file = True,
            doc = "File of `KEY=VALUE` lines, merged over `annotations`. A line without `=` is an error.",
        ),
        "compress": attr.string(
            default = "auto",
            values = ["auto", "gzip", "zstd"],
            doc = "Compression of the blob. `auto` is the setting `compress`.",
        ),
        "create_parent_directories": attr.string(
            default = "auto",
            values = ["auto", "enabled", "disabled"],
            doc = "Whether every parent directory gets an entry, once. `auto` is the setting of that name.",
        ),
        "default_metadata": attr.string(
            doc = "What `file_metadata()` returns, for every entry. A `mode` applies to files; directories get execute bits where they have read bits.",
        ),
        "estargz": attr.string(
            default = "auto",
            values = ["auto", "enabled", "disabled"],
            doc = "Whether the layer can be mounted lazily: eStargz with gzip, zstd:chunked with zstd. `auto` is the setting of that name.",
        ),
        "file_metadata": attr.string_dict(
            doc = "Path in the image → what `file_metadata()` returns. Overrides `default_metadata` field by field. A path that matches nothing is an error.",
        ),
        "include_runfiles": attr.bool(
            default = True,
            doc = "Whether an executable brings its runfiles, under `<path>.runfiles/`.",
        ),
        "srcs": attr.string_keyed_label_dict(
            allow_files = True,
            doc = """Path in the image → target. An executable goes to the path, its runfiles beside it. Otherwise the default outputs: one
file goes exactly to the path, several go below it by base name, a directory puts its contents below it. A path that
ends in `/` is a directory to put things in. The same path twice is an error, unless it is the same both times.""",
        ),
        "symlinks": attr.string_dict(
            doc = "Path of a symlink in the image → its target, verbatim.",
        ),
        "tree_artifact_handling": attr.string(
            default = "auto",
            values = ["auto", "full", "deduplicate_symlink"],
            doc = "`deduplicate_symlink`: a tree artifact that is identical to an earlier one becomes a relative symlink to it. `auto` is the setting `layer_tree_artifact_handling`.",
        ),
        "_parents": setting("create_parent_directories"),
        "_trees": setting("layer_tree_artifact_handling"),
    } | COMPRESSION_ATTRS,
    provides = [LayerInfo],
    toolchains = ["//img:toolchain_type"],
)
