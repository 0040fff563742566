"""Rules that make the kinds of outputs that layers are made of."""

def _tree_impl(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(outputs = [out], command = "cd \"$1\" && " + ctx.attr.make, arguments = [out.path])
    return [DefaultInfo(files = depset([out]))]

tree = rule(
    implementation = _tree_impl,
    doc = "A tree artifact, made by commands that run in it.",
    attrs = {"make": attr.string()},
)

def _declared_symlink_impl(ctx):
    out = ctx.actions.declare_symlink(ctx.label.name)
    ctx.actions.symlink(output = out, target_path = ctx.attr.target)
    return [DefaultInfo(files = depset([out]))]

declared_symlink = rule(
    implementation = _declared_symlink_impl,
    doc = "A symlink that Bazel knows as one.",
    attrs = {"target": attr.string()},
)

def _linked_impl(ctx):
    declare = ctx.actions.declare_directory if ctx.file.src.is_directory else ctx.actions.declare_file
    out = declare(ctx.label.name)
    ctx.actions.symlink(output = out, target_file = ctx.file.src)
    return [DefaultInfo(files = depset([out]))]

linked = rule(
    implementation = _linked_impl,
    doc = "A file or a tree artifact that Bazel makes as a symlink to another.",
    attrs = {"src": attr.label(allow_single_file = True)},
)

def _written_impl(ctx):
    files = []
    for name in ctx.attr.names:
        out = ctx.actions.declare_file(ctx.label.name + ".out/" + name)
        ctx.actions.write(out, name + "\n")
        files.append(out)
    return [DefaultInfo(files = depset(files))]

written = rule(
    implementation = _written_impl,
    doc = "Files that say their own name.",
    attrs = {"names": attr.string_list()},
)

def _program_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(out, "#!/bin/sh\n", is_executable = True)
    runfiles = ctx.runfiles(
        files = ctx.files.data,
        symlinks = {path: target.files.to_list()[0] for target, path in ctx.attr.linked.items()},
        root_symlinks = {path: target.files.to_list()[0] for target, path in ctx.attr.root_linked.items()},
    )
    return [DefaultInfo(
        executable = out,
        runfiles = runfiles.merge_all([d[DefaultInfo].default_runfiles for d in ctx.attr.data]),
    )]

program = rule(
    implementation = _program_impl,
    doc = "An executable with runfiles.",
    attrs = {
        "data": attr.label_list(allow_files = True),
        "linked": attr.label_keyed_string_dict(allow_files = True, doc = "Target → path below the workspace's runfiles."),
        "root_linked": attr.label_keyed_string_dict(allow_files = True, doc = "Target → path in the runfiles."),
    },
    executable = True,
)

def _archive_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.run_shell(outputs = [out], command = "out=$PWD/$1 && mkdir work && cd work && " + ctx.attr.make, arguments = [out.path])
    return [DefaultInfo(files = depset([out]))]

archive = rule(
    implementation = _archive_impl,
    doc = "An archive, made by commands that write $out.",
    attrs = {"make": attr.string()},
)
