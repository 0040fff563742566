"""esbuild_bundle, in its smallest form. It does not check types."""

def _esbuild_bundle_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".js")
    ctx.actions.run(
        executable = ctx.executable._esbuild,
        arguments = [
            ctx.file.entry.path,
            "--bundle",
            "--log-level=warning",
            "--outfile=" + out.path,
            "--packages=external",
            "--platform=node",
            "--preserve-symlinks",
            "--target=node18",
        ],
        inputs = ctx.files.srcs,
        outputs = [out],
        mnemonic = "Esbuild",
        progress_message = "Bundling %{label}",
    )
    return [DefaultInfo(files = depset([out]))]

esbuild_bundle = rule(
    implementation = _esbuild_bundle_impl,
    doc = "TypeScript and JavaScript as one file for Node.js, in which npm packages stay imports.",
    attrs = {
        "entry": attr.label(allow_single_file = True, mandatory = True, doc = "Where the program starts; one of srcs."),
        "srcs": attr.label_list(allow_files = True, doc = "All files of the program."),
        "_esbuild": attr.label(allow_single_file = True, cfg = "exec", default = "@esbuild//:esbuild.exe", executable = True),
    },
)
