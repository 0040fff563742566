"""The repository that names packages without their architecture."""

visibility(["//debian"])

_CPU = {
    "amd64": "@platforms//cpu:x86_64",
    "arm64": "@platforms//cpu:aarch64",
}

def _hub_impl(rctx):
    choices = {}
    for repository, package in rctx.attr.repositories.items():
        name, architecture = package.split(" ")
        choices.setdefault(name, {})[_CPU.get(architecture, "//conditions:default")] = "@{}//:layer".format(repository)
    aliases = [_ALIAS.format(
        name = name,
        choices = json.encode_indent(choice, indent = "    "),
        architectures = ", ".join(choice.keys()),
    ) for name, choice in choices.items()]
    rctx.file("BUILD.bazel", "package(default_visibility = [\"//visibility:public\"])\n" + "".join(aliases))

_ALIAS = """
alias(
    name = "{name}",
    actual = select(
        {choices},
        no_match_error = "the lock file has the package {name} for {architectures} alone",
    ),
)
"""

hub = repository_rule(
    implementation = _hub_impl,
    doc = "A target for each package: an alias to its layer for the processor that is built for.",
    attrs = {
        "repositories": attr.string_dict(doc = "Repository of a package → its name and architecture."),
    },
)
