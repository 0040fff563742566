"""A layer that is no source file and comes from no action of rules_img."""

def _copied_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.run_shell(inputs = [ctx.file.src], outputs = [out], command = "cp \"$1\" \"$2\"", arguments = [ctx.file.src.path, out.path])
    return [DefaultInfo(files = depset([out]))]

copied = rule(
    implementation = _copied_impl,
    doc = "A file that an action made.",
    attrs = {"src": attr.label(allow_single_file = True)},
)
