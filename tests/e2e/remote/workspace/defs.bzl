"""Outputs that layers are made of."""

def _tree_impl(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        inputs = [ctx.file.src],
        outputs = [out],
        command = "mkdir \"$2/sub\" && cp \"$1\" \"$2/sub/file\"",
        arguments = [ctx.file.src.path, out.path],
    )
    return [DefaultInfo(files = depset([out]))]

tree = rule(
    implementation = _tree_impl,
    doc = "A tree artifact. It has no symlink, since Bazel uploads the file that one in a tree points to, in its place.",
    attrs = {"src": attr.label(allow_single_file = True)},
)

def _copied_impl(ctx):
    ctx.actions.run_shell(inputs = [ctx.file.src], outputs = [ctx.outputs.out], command = "cp \"$1\" \"$2\"", arguments = [ctx.file.src.path, ctx.outputs.out.path])

copied = rule(
    implementation = _copied_impl,
    doc = "A file that an action made.",
    attrs = {
        "out": attr.output(),
        "src": attr.label(allow_single_file = True),
    },
)

def _program_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(out, "#!/bin/sh\n", is_executable = True)
    return [DefaultInfo(executable = out, runfiles = ctx.runfiles(files = ctx.files.data))]

program = rule(
    implementation = _program_impl,
    doc = "An executable with runfiles.",
    attrs = {"data": attr.label_list(allow_files = True)},
    executable = True,
)
