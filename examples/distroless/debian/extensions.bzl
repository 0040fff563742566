"""The extension that makes layers of Debian packages.

```starlark
debian = use_extension("@distroless//debian:extensions.bzl", "debian")
debian.packages(name = "debian", lock = "//:debian.lock.json")
use_repo(debian, "debian")
```

`@debian//:libc6` is then a layer with what the package holds, for the processor that is built for. Several files of locks may name the same
package: it is fetched once, and a layer of the same bytes in every image.
"""

load(":hub.bzl", "hub")
load(":package.bzl", "package")

def _debian_impl(mctx):
    fetched = {}
    for module in mctx.modules:
        for tag in module.tags.packages:
            packages = json.decode(mctx.read(tag.lock))
            for p in packages:
                fetched.setdefault(_repository(p), (p, tag.mirrors))
            hub(
                name = tag.name,
                repositories = {_repository(p): p["name"] + " " + p["architecture"] for p in packages},
            )
    for repository, (p, mirrors) in fetched.items():
        package(
            name = repository,
            mirrors = mirrors,
            package = p["name"],
            path = p["path"],
            sha256 = p["sha256"],
        )
    return mctx.extension_metadata(reproducible = True)

def _repository(p):
    return "deb_{}_{}_{}".format(p["name"].replace("+", "x"), p["architecture"], p["sha256"][:8])

debian = module_extension(
    implementation = _debian_impl,
    doc = "Packages of Debian as layers.",
    tag_classes = {
        "packages": tag_class(
            doc = "A repository with a target for each package of a lock file.",
            attrs = {
                "lock": attr.label(mandatory = True, doc = "What `lock` wrote: a JSON list of packages with checksums."),
                "mirrors": attr.string_list(doc = "Addresses of Debian's archive, asked in this order. Without any, `$DEBIAN_MIRROR` and the one of this machine's apt."),
                "name": attr.string(mandatory = True, doc = "Name of the repository."),
            },
        ),
    },
)
