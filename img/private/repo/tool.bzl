"""Where the img tool comes from: a prebuilt binary that a lockfile names, or else this module's Go sources, built by the Go of the machine.

A toolchain that the user registered is found before these, because Bazel asks the root module's first.

Each platform has a repository of its own, so that Bazel fetches or builds only what a build asks for. Go's own cache makes a
rebuild cheap, and the repository watches the sources: an edit shows in the next build.
"""

load("@bazel_tools//tools/build_defs/repo:utils.bzl", "read_user_netrc", "use_netrc")
load("//img/private:platforms.bzl", "CPU", "OS")
load("//img/private/repo:lockfile.bzl", "TOOLS", "extension", "parse_lockfile", "platform_of", "tool_of", "urls_of")

visibility("//img")

# Where the tool can run: OCI names, as format_platform() and GOOS, GOARCH have them.
_PLATFORMS = [
    ("linux", "amd64"),
    ("linux", "arm64"),
    ("darwin", "amd64"),
    ("darwin", "arm64"),
    ("windows", "amd64"),
    ("windows", "arm64"),
]

# The lockfile that a release fills. Here it is empty: the tool is built from source.
SHIPPED_LOCKFILE = Label("//img/private/repo:prebuilt_lockfile.json")

_SOURCES = ["cmd", "internal", "proto"]

# What a build from source depends on, besides the sources.
_ENVIRONMENT = ["PATH", "GOPROXY", "GOPRIVATE", "GONOSUMDB", "GOSUMDB", "GOMODCACHE", "GOTOOLCHAIN"]

def _host(os):
    """The OCI platform of the machine that Bazel runs on."""
    name = os.name.lower()
    goos = "darwin" if name.startswith("mac") else "windows" if name.startswith("windows") else name
    return goos, {"aarch64": "arm64", "x86_64": "amd64"}.get(os.arch, os.arch)

def _binary_impl(rctx):
    goos, goarch = (rctx.attr.goos, rctx.attr.goarch) if rctx.attr.goos else _host(rctx.os)
    binary = rctx.attr.tool + extension(goos)
    rctx.file("BUILD.bazel", _BINARY_BUILD.format(binary = binary))
    entries = _entries(rctx)
    platform = goos + "/" + goarch
    for i, entry in enumerate(entries):
        if (tool_of(entry), platform_of(entry)) == (rctx.attr.tool, platform):
            _download(rctx, i + 1, entry, binary)
            return rctx.repo_metadata(reproducible = True) if hasattr(rctx, "repo_metadata") else None
    _build(rctx, [platform_of(e) for e in entries if tool_of(e) == rctx.attr.tool], binary, goos, goarch)
    return None

def _entries(rctx):
    entries, problem = parse_lockfile(rctx.read(rctx.attr.lockfile))
    if problem:
        fail("the lockfile of prebuilt tools {}: {}".format(rctx.attr.lockfile, problem))
    return entries

def _download(rctx, number, entry, binary):
    """Fetches a binary with Bazel's downloader, which asks its repository cache first."""
    urls = urls_of(entry)
    rctx.report_progress("fetching %s %s for %s" % (rctx.attr.tool, entry["version"], platform_of(entry)))
    got = rctx.download(
        url = urls,
        allow_fail = True,
        auth = use_netrc(read_user_netrc(rctx), urls, {}),
        executable = True,
        integrity = entry["integrity"],
        output = binary,
    )
    if not got.success:
        fail("the lockfile of prebuilt tools {}: entry {}: {} for {} can't be had with the integrity {}; Bazel's warning above says why. It was looked for at:{}".format(
            rctx.attr.lockfile,
            number,
            rctx.attr.tool,
            platform_of(entry),
            entry["integrity"],
            "".join(["\n  " + u for u in urls]),
        ))

_BINARY_BUILD = """exports_files(["{binary}"], visibility = ["//visibility:public"])

alias(
    name = "tool",
    actual = "{binary}",
    visibility = ["//visibility:public"],
)
"""

def _build(rctx, prebuilt, binary, goos, goarch):
    """Builds from source.

    Args:
      rctx: the repository_ctx.
      prebuilt: (list of str) the platforms that the lockfile has, for the message when there is no Go.
      binary: (str) what to call the program.
      goos: (str) operating system.
      goarch: (str) architecture.
    """
    for name in _ENVIRONMENT:
        rctx.getenv(name)
    root = rctx.path(rctx.attr._go_mod).dirname
    for f in ["go.mod", "go.sum"]:
        rctx.watch(root.get_child(f))
    for d in _SOURCES:
        rctx.watch_tree(root.get_child(d))
    go = rctx.which("go")
    if not go:
        fail(_NO_GO.format(
            tool = rctx.attr.tool,
            platform = goos + "/" + goarch,
            lockfile = rctx.attr.lockfile,
            has = "only has it for " + ", ".join(prebuilt) if prebuilt else "does not have it for any platform",
        ))
    package = "./cmd/" + rctx.attr.tool
    rctx.report_progress("go build %s for %s/%s" % (package, goos, goarch))
    built = rctx.execute(
        [go, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", rctx.path(binary), package],
        environment = {"CGO_ENABLED": "0", "GOARCH": goarch, "GOFLAGS": "-mod=readonly", "GOOS": goos, "GOWORK": "off"},
        working_directory = str(root),
        timeout = 900,
    )
    if built.return_code:
        fail("rules_img: go build {} for {}/{} in {}:\n{}".format(package, goos, goarch, root, built.stderr))

_NO_GO = """rules_img has no program `{tool}` for {platform}: the lockfile of prebuilt tools {lockfile} {has}, and there is no `go` on PATH to build it from source. Do one of:
  - install Go 1.25 or newer (https://go.dev/dl);
  - name a lockfile that has {platform}: prebuilt_img_tool.from_lockfile(file = …) in MODULE.bazel, img_register_prebuilt_toolchains(lockfile = …) in WORKSPACE;
  - for actions and run targets, register a toolchain of your own: image_toolchain().
docs/guides/toolchains.md of rules_img has examples."""

_binary = repository_rule(
    implementation = _binary_impl,
    doc = "One program of this module for one platform; for the host when goos is empty.",
    attrs = {
        "goarch": attr.string(),
        "goos": attr.string(),
        "lockfile": attr.label(allow_single_file = True, mandatory = True),
        "tool": attr.string(mandatory = True),
        "_go_mod": attr.label(default = "//:go.mod"),
    },
)

def _toolchains_impl(rctx):
    parts = [_TOOLCHAINS_HEAD.format(bzl = rctx.attr._bzl)]
    for goos, goarch in _PLATFORMS:
        parts.append(_TOOLCHAIN.format(
            p = goos + "_" + goarch,
            img = "img" + extension(goos),
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

def _server_impl(rctx):
    name = rctx.attr.tool
    parts = ["package(default_visibility = [\"//visibility:public\"])\n"]
    branches = []
    for goos, goarch in _PLATFORMS:
        p = goos + "_" + goarch
        parts.append(_SETTING.format(p = p, os = OS[goos], cpu = CPU[goarch]))
        branches.append(_BRANCH.format(p = p, repo = _repository(name, p), binary = name + extension(goos)))
    parts.append(_ALIAS.format(name = name, branches = "".join(branches)))
    rctx.file("BUILD.bazel", "\n".join(parts))

_SETTING = """config_setting(
    name = "{p}",
    constraint_values = ["@platforms//os:{os}", "@platforms//cpu:{cpu}"],
)
"""

_BRANCH = """        ":{p}": "@{repo}//:{binary}",
"""

_ALIAS = """alias(
    name = "{name}",
    actual = select({{
{branches}    }}),
)
"""

_server = repository_rule(
    implementation = _server_impl,
    doc = "A server, for the platform that is built for.",
    attrs = {"tool": attr.string(mandatory = True)},
)

def _repository(tool, platform):
    return "rules_img_%s_%s" % ("tool" if tool == "img" else tool, platform)

def tool_repositories(declare = lambda rule, **attributes: rule(**attributes), lockfile = SHIPPED_LOCKFILE):
    """Declares the tool for every platform, its toolchains, and the servers.

    Args:
      declare: (function) declares one repository; a WORKSPACE leaves out those that are there.
      lockfile: (Label) the prebuilt binaries.
    """
    for tool in TOOLS:
        for goos, goarch in _PLATFORMS:
            name = _repository(tool, goos + "_" + goarch)
            declare(_binary, name = name, tool = tool, goos = goos, goarch = goarch, lockfile = lockfile)
        if tool != "img":
            declare(_server, name = "rules_img_" + tool, tool = tool)
    host_tool_repository(declare, lockfile)
    declare(_toolchains, name = "rules_img_toolchains")

def host_tool_repository(declare, lockfile):
    """Declares the tool that repository rules run.

    Args:
      declare: as of tool_repositories().
      lockfile: as of tool_repositories().
    """
    declare(_binary, name = "rules_img_tool_host", tool = "img", lockfile = lockfile)

def _lockfile(mctx):
    """The root module's lockfile, or the one that is shipped. Those of others are not asked: a dependency does not say what the root runs."""
    for module in mctx.modules:
        if not module.is_root or not module.tags.from_lockfile:
            continue
        if len(module.tags.from_lockfile) > 1:
            fail("prebuilt_img_tool.from_lockfile: is set twice: one lockfile holds all platforms")
        return module.tags.from_lockfile[0].file
    return SHIPPED_LOCKFILE

def _prebuilt_img_tool_impl(mctx):
    tool_repositories(lockfile = _lockfile(mctx))
    return mctx.extension_metadata(reproducible = True)

prebuilt_img_tool = module_extension(
    implementation = _prebuilt_img_tool_impl,
    doc = """Where the img tool and the servers come from: the prebuilt binaries of a lockfile, or else this module's Go sources.

Nothing needs to be said for the lockfile that a release of rules_img ships. One of your own replaces it:

```starlark
prebuilt_img_tool = use_extension("@rules_img//img:extensions.bzl", "prebuilt_img_tool")
prebuilt_img_tool.from_lockfile(file = "//:img_tool.lock.json")
```
""",
    tag_classes = {
        "from_lockfile": tag_class(
            attrs = {
                "file": attr.label(
                    allow_single_file = True,
                    doc = "The lockfile. Platforms that it does not have are built from source: all of them, when its list is empty.",
                    mandatory = True,
                ),
            },
            doc = "Takes the tool from a lockfile. Only the root module's counts.",
        ),
    },
)
