"""WORKSPACE: where the img tool comes from. With bzlmod, MODULE.bazel says it.

```starlark
load("@rules_img//img:dependencies.bzl", "rules_img_dependencies")
load("@rules_img//img:repositories.bzl", "img_register_prebuilt_toolchains")

rules_img_dependencies()

img_register_prebuilt_toolchains()
```
"""

load("@bazel_tools//tools/build_defs/repo:utils.bzl", "maybe")
load("//img/private/repo:tool.bzl", "SHIPPED_LOCKFILE", "host_tool_repository", "tool_repositories")

def img_register_prebuilt_toolchains(lockfile = SHIPPED_LOCKFILE):
    """Declares the img tool for every platform and registers its toolchains. A toolchain that the WORKSPACE registers before wins.

    What the lockfile lacks is built from this module's own sources, by the `go` of the machine, for the platforms that a build asks for.

    Args:
      lockfile: (Label) the prebuilt binaries: those of the release, unless you have others.
    """
    tool_repositories(maybe, lockfile)
    native.register_toolchains("@rules_img_toolchains//:all")

def pull_tool_register_prebuilt_repositories(lockfile = SHIPPED_LOCKFILE):
    """Declares the img tool that `pull` runs, for a WORKSPACE that does no more than pull. `img_register_prebuilt_toolchains()` does so too.

    Args:
      lockfile: (Label) as of `img_register_prebuilt_toolchains()`.
    """
    host_tool_repository(maybe, lockfile)
