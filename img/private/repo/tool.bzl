"""Where the img tool comes from: this module's Go sources, built by the Go toolchain of the machine.

A toolchain that the user registered is found before these, because Bazel asks the root module's first. Prebuilt
binaries out of a lockfile belong between the two.

Each platform has a repository of its own, so that Bazel builds only what a build asks for. Go's own cache makes a
rebuild cheap, and the repository watches the sources: an edit shows in the next build.
"""

load("//img/private:platforms.bzl", "CPU", "OS")

visibility("public")

# Where the tool can run: OCI names, as format_platform() and GOOS, GOARCH have them.
_PLATFORMS = [
    ("linux", "amd64"),
    ("linux", "arm64"),
    ("darwin", "amd64"),
    ("darwin", "arm64"),
    ("windows", "amd64"),
    ("windows", "arm64"),
]

_SOURCES = ["cmd", "internal"]

def _exe(os):
    return ".exe" if os == "windows" else ""

def _host(os):
    """The OCI platform of the machine that Bazel runs on."""
    name = os.name.lower()
    goos = "darwin" if name.startswith("mac") else "windows" if name.startswith("windows") else name
    return goos, {"aarch64": "arm64", "x86_64": "amd64"}.get(os.arch, os.arch)

def _go_binary_impl(rctx):
    goos, goarch = (rctx.attr.goos, rctx.attr.goarch) if rctx.attr.goos else _host(rctx.os)
    name = rctx.attr.package.split("/")[-1]
    binary = name + _exe(goos)
    root = rctx.path(rctx.attr._go_mod).dirname
    for f in ["go.mod", "go.sum"]:
        rctx.watch(root.get_child(f))
    for d in _SOURCES:
        rctx.watch_tree(root.get_child(d))
    _go_build(rctx, root, rctx.attr.package, binary, goos, goarch)
    rctx.file("BUILD.bazel", _BINARY_BUILD.format(name = name, binary = binary))

_BINARY_BUILD = """exports_files(["{binary}"], visibility = ["//visibility:public"])

alias(
    name = "tool",
    actual = "{binary}",
    visibility = ["//visibility:public"],
)
"""

def _go_build(rctx, root, package, binary, goos, goarch):
    go = rctx.which("go")
    if not go:
        fail("rules_img builds {} from source for {}/{}, and there is no `go` on PATH: install Go 1.25 or newer (https://go.dev/dl), or register a toolchain of your own with image_toolchain()".format(package, goos, goarch))
    rctx.report_progress("go build %s for %s/%s" % (package, goos, goarch))
    built = rctx.execute(
        [go, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", rctx.path(binary), package],
        environment = {"CGO_ENABLED": "0", "GOARCH": goarch, "GOFLAGS": "-mod=readonly", "GOOS": goos, "GOWORK": "off"},
        working_directory = str(root),
        timeout = 900,
    )
    if built.return_code:
        fail("rules_img: go build {} for {}/{} in {}:\n{}".format(package, goos, goarch, root, built.stderr))

_go_binary = repository_rule(
    implementation = _go_binary_impl,
    doc = "One program of this module, built for one platform; for the host when goos is empty.",
    attrs = {
        "goarch": attr.string(),
        "goos": attr.string(),
        "package": attr.string(mandatory = True),
        "_go_mod": attr.label(default = "//:go.mod"),
    },
    environ = ["PATH", "GOPROXY", "GOPRIVATE", "GONOSUMDB", "GOSUMDB", "GOMODCACHE", "GOTOOLCHAIN"],
)

def _toolchains_impl(rctx):
    parts = [_TOOLCHAINS_HEAD.format(bzl = rctx.attr._bzl)]
    for goos, goarch in _PLATFORMS:
        parts.append(_TOOLCHAIN.format(
            p = goos + "_" + goarch,
            img = "img" + _exe(goos),
            os = "@platforms//os:" + OS[goos],
            cpu = "@platforms//cpu:" + CPU[goarch],
            type = rctx.attr._type,
            data_type = rctx.attr._data_type,
        ))
    rctx.file("BUILD.bazel", "\n".join(parts))

_TOOLCHAINS_HEAD = """load("{bzl}", "image_toolchain")

package(default_visibility = ["//visibility:public"])
"""

_TOOLCHAIN = """
image_toolchain(name = "{p}_tool", tool_exe = "@rules_img_tool_{p}//:{img}")

toolchain(
    name = "{p}",
    exec_compatible_with = ["{os}", "{cpu}"],
    toolchain = ":{p}_tool",
    toolchain_type = "{type}",
)

toolchain(
    name = "{p}_data",
    target_compatible_with = ["{os}", "{cpu}"],
    toolchain = ":{p}_tool",
    toolchain_type = "{data_type}",
)
"""

_toolchains = repository_rule(
    implementation = _toolchains_impl,
    doc = "A toolchain of each type for every platform that the tool can run on.",
    attrs = {
        "_bzl": attr.label(default = "//img:image_toolchain.bzl"),
        "_data_type": attr.label(default = "//img:data_toolchain_type"),
        "_type": attr.label(default = "//img:toolchain_type"),
    },
)

def _registry_impl(rctx):
    choices = {
        "rules_img_registry_%s_%s" % p: (OS[p[0]], CPU[p[1]], "registry" + _exe(p[0]))
        for p in _PLATFORMS
    }
    parts = ["package(default_visibility = [\"//visibility:public\"])\n"]
    for repo, (os, cpu, _) in choices.items():
        parts.append("config_setting(name = \"{}\", constraint_values = [\"@platforms//os:{}\", \"@platforms//cpu:{}\"])\n".format(repo, os, cpu))
    branches = ["        \":{r}\": \"@{r}//:{b}\",\n".format(r = r, b = b) for r, (_, _, b) in choices.items()]
    parts.append("alias(\n    name = \"registry\",\n    actual = select({\n" + "".join(branches) + "    }),\n)\n")
    rctx.file("BUILD.bazel", "\n".join(parts))

_registry = repository_rule(
    implementation = _registry_impl,
    doc = "The registry server, for the platform that is built for.",
)

def tool_repositories(declare = lambda rule, **attributes: rule(**attributes)):
    """Declares the tool for every platform, its toolchains, and the registry server.

    Args:
      declare: (function) declares one repository; a WORKSPACE leaves out those that are there.
    """
    for goos, goarch in _PLATFORMS:
        p = goos + "_" + goarch
        declare(_go_binary, name = "rules_img_tool_" + p, package = "./cmd/img", goos = goos, goarch = goarch)
        declare(_go_binary, name = "rules_img_registry_" + p, package = "./cmd/registry", goos = goos, goarch = goarch)
    host_tool_repository(declare)
    declare(_toolchains, name = "rules_img_toolchains")
    declare(_registry, name = "rules_img_registry")

def host_tool_repository(declare):
    """Declares the tool that repository rules run.

    Args:
      declare: as of tool_repositories().
    """
    declare(_go_binary, name = "rules_img_tool_host", package = "./cmd/img")

def _tool_impl(mctx):
    tool_repositories()
    return mctx.extension_metadata(reproducible = True)

tool = module_extension(
    implementation = _tool_impl,
    doc = "The img tool for every platform, and the registry server, from source.",
)
