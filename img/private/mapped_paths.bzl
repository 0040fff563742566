"""Whether Bazel maps the paths of outputs: --experimental_output_paths=strip."""

visibility("//img/private")

MappedPathsInfo = provider(
    doc = "Whether Bazel maps the paths of outputs.",
    fields = {"enabled": "(bool) whether it does"},
)

def _mapped_paths_impl(ctx):
    return [MappedPathsInfo(enabled = ctx.attr.enabled)]

_mapped_paths = rule(
    implementation = _mapped_paths_impl,
    doc = "Carries what select() found of the flag.",
    attrs = {"enabled": attr.bool(mandatory = True)},
)

def mapped_paths(name, **kwargs):
    """Declares the target that a toolchain asks whether paths are mapped.

    Args:
      name: (str) name of the target.
      **kwargs: passed on, such as visibility.
    """
    native.config_setting(name = name + "_on", values = {"experimental_output_paths": "strip"})
    _mapped_paths(
        name = name,
        enabled = select({
            ":" + name + "_on": True,
            "//conditions:default": False,
        }),
        **kwargs
    )
