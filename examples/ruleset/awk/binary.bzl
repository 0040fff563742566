"""awk_binary: a program in awk."""

AwkInfo = provider(doc = "A program in awk.", fields = {"name": "(str) what the program is called"})

def _awk_binary_impl(ctx):
    program = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.expand_template(
        template = ctx.file.src,
        output = program,
        substitutions = {"#!/usr/bin/env -S awk -f": "#!%s -f" % ctx.attr.interpreter},
        is_executable = True,
    )
    return [
        DefaultInfo(executable = program, runfiles = ctx.runfiles(ctx.files.data)),
        AwkInfo(name = ctx.label.name),
    ]

awk_binary = rule(
    implementation = _awk_binary_impl,
    doc = "An executable of one file that begins with `#!/usr/bin/env -S awk -f`.",
    attrs = {
        "data": attr.label_list(allow_files = True, doc = "What the program reads."),
        "interpreter": attr.string(default = "/usr/bin/mawk", doc = "The awk of where it runs."),
        "src": attr.label(allow_single_file = [".awk"], mandatory = True),
    },
    executable = True,
    provides = [AwkInfo],
)
