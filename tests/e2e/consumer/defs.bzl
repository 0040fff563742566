"""Rules that make the kinds of outputs that layers are made of."""

def _tree_impl(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        outputs = [out],
        command = """mkdir -p "$1/sub" && printf one > "$1/one.txt" && printf one > "$1/sub/same.txt" && printf two > "$1/sub/two words.txt" && ln -s ../one.txt "$1/sub/link" """,
        arguments = [out.path],
    )
    return [DefaultInfo(files = depset([out]))]

tree = rule(implementation = _tree_impl, doc = "A tree artifact with nested files and a symlink.")

def _program_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(out, "#!/bin/sh\nexec cat \"$0.runfiles/_main/data/hello.txt\"\n", is_executable = True)
    return [DefaultInfo(
        executable = out,
        runfiles = ctx.runfiles(
            files = ctx.files.data,
            symlinks = {"linked.txt": ctx.files.data[0]},
            root_symlinks = {"other/root.txt": ctx.files.data[0]},
        ),
    )]

program = rule(
    implementation = _program_impl,
    doc = "An executable with runfiles.",
    attrs = {"data": attr.label_list(allow_files = True)},
    executable = True,
)

def _runs_test_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(out, "#!/bin/sh\nexec \"$TEST_SRCDIR/_main/{}\"\n".format(ctx.executable.run.short_path), is_executable = True)
    return [DefaultInfo(executable = out, runfiles = ctx.attr.run[DefaultInfo].default_runfiles.merge(ctx.runfiles([ctx.executable.run])))]

runs_test = rule(
    implementation = _runs_test_impl,
    doc = "A test that runs a target that is its data.",
    attrs = {"run": attr.label(cfg = "target", executable = True, mandatory = True)},
    test = True,
)
