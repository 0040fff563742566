"""pull: a base image as a repository, by its metadata alone."""

load("//img/private:platforms.bzl", "format_platform")

visibility("//img")

_INDEXES = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
]

def _pull_impl(rctx):
    _check(rctx)
    root = _fetch(rctx)
    name = _apparent_name(rctx.name)
    if root["mediaType"] in _INDEXES:
        manifests = [d for d in _blob(rctx, root["digest"])["manifests"] if _is_image(d)]
    else:
        manifests = [root]
    build = [_HEAD.format(bzl = rctx.attr._import_bzl)]
    images = [_image(rctx, name, d) for d in manifests]
    for image in images:
        build.append(_manifest_target(image))
    build.append(_root_target(rctx, name, root, images))
    rctx.file("BUILD.bazel", "\n".join(build))

def _check(rctx):
    if rctx.attr.layer_handling != "shallow":
        fail("{}: layer_handling: {} is not available in this version of rules_img: use shallow".format(rctx.name, repr(rctx.attr.layer_handling)))
    if rctx.attr.downloader != "img_tool":
        fail("{}: downloader: {} is not available in this version of rules_img: use img_tool".format(rctx.name, repr(rctx.attr.downloader)))
    if not rctx.attr.digest and not (rctx.attr.tag and rctx.attr.unsafe_allow_tag_without_digest):
        fail("{}: digest: is missing: a pull is pinned by digest. To find it, set tag and unsafe_allow_tag_without_digest = True once: the digest is then printed.".format(rctx.name))

def _registries(rctx):
    return rctx.attr.registries or [rctx.attr.registry or "index.docker.io"]

def _fetch(rctx):
    """Copies manifests and configs below blobs/ and returns the descriptor of the root."""
    args = ["pull", "--shallow", "--out", str(rctx.path(".")), "--repository", rctx.attr.repository]
    for r in _registries(rctx):
        args += ["--registry", r]
    args += ["--digest", rctx.attr.digest] if rctx.attr.digest else ["--tag", rctx.attr.tag]
    home = rctx.path(rctx.attr._tool).dirname
    tool = home.get_child("img.exe") if rctx.os.name.lower().startswith("windows") else home.get_child("img")
    rctx.report_progress("pulling manifests of " + rctx.attr.repository)
    pulled = rctx.execute([tool] + args, timeout = 600)
    if pulled.return_code:
        fail("{}: {}".format(rctx.name, pulled.stderr.strip()))
    root = json.decode(pulled.stdout)
    if not rctx.attr.digest:
        # buildifier: disable=print
        print("{}: pin it with digest = \"{}\"".format(rctx.name, root["digest"]))
    return root

def _blob_path(digest):
    return "blobs/" + digest.replace(":", "/")

def _blob(rctx, digest):
    return json.decode(rctx.read(_blob_path(digest)))

def _is_image(descriptor):
    """Leaves out the attestations that builders put beside images."""
    platform = descriptor.get("platform", {})
    return (platform.get("os"), platform.get("architecture")) != ("unknown", "unknown")

def _image(rctx, name, descriptor):
    """Writes the metadata files of one platform's image and returns what its target says."""
    digest = descriptor["digest"]
    if descriptor["mediaType"] in _INDEXES:
        fail("{}: {} is an index inside an index, which this version of rules_img does not read".format(rctx.name, digest))
    manifest = _blob(rctx, digest)
    config = _blob(rctx, manifest["config"]["digest"])
    hexa = digest.split(":")[1]
    platform = {k: config[k] for k in ["os", "architecture", "variant"] if config.get(k)}
    described = dict(descriptor)
    described.setdefault("platform", platform)
    rctx.file("descriptors/%s.json" % hexa, json.encode(described))
    layers = []
    for i, layer in enumerate(manifest["layers"]):
        path = "layers/%s-%d.json" % (hexa, i)
        rctx.file(path, json.encode(_layer(name, layer, config["rootfs"]["diff_ids"][i])))
        layers.append((path, layer["mediaType"], layer["digest"]))
    return struct(
        target = "manifest-" + hexa,
        manifest = _blob_path(digest),
        config = _blob_path(manifest["config"]["digest"]),
        descriptor = "descriptors/%s.json" % hexa,
        layers = layers,
        os = platform.get("os", "linux"),
        architecture = platform.get("architecture", "amd64"),
        variant = platform.get("variant", ""),
    )

def _layer(name, descriptor, diff_id):
    fields = {
        "name": "%s@%s" % (name, descriptor["digest"]),
        "mediaType": descriptor["mediaType"],
        "digest": descriptor["digest"],
        "size": descriptor["size"],
        "diff_id": diff_id,
    }
    if descriptor.get("annotations"):
        fields["annotations"] = descriptor["annotations"]
    return fields

_HEAD = """# Made by the repository rule pull.
load("{bzl}", "imported_index", "imported_manifest")

package(default_visibility = ["//visibility:public"])
"""

def _manifest_target(image):
    return """imported_manifest(
    name = {name},
    architecture = {architecture},
    config = {config},
    descriptor = {descriptor},
    layer_digests = {digests},
    layer_media_types = {types},
    layers = {layers},
    manifest = {manifest},
    os = {os},
    variant = {variant},
)
""".format(
        name = repr(image.target),
        architecture = repr(image.architecture),
        config = repr(image.config),
        descriptor = repr(image.descriptor),
        digests = [d.split(":")[1] for _, _, d in image.layers],
        layers = [path for path, _, _ in image.layers],
        types = [t for _, t, _ in image.layers],
        manifest = repr(image.manifest),
        os = repr(image.os),
        variant = repr(image.variant),
    )

def _root_target(rctx, name, root, images):
    if not images:
        fail("{}: {} holds no image for any platform".format(rctx.name, root["digest"]))
    rctx.report_progress(", ".join([format_platform(i) for i in images]))
    return """imported_index(
    name = {name},
    digest = {digest},
    index = {index},
    manifests = {manifests},
    registries = {registries},
    repository = {repository},
    tag = {tag},
)
""".format(
        name = repr(name),
        digest = repr(root["digest"]),
        index = repr(_blob_path(root["digest"])) if root["mediaType"] in _INDEXES else None,
        manifests = [":" + i.target for i in images],
        registries = _registries(rctx),
        repository = repr(rctx.attr.repository),
        tag = repr(rctx.attr.tag),
    )

def _apparent_name(name):
    """The name that the user gave, out of Bazel's canonical one."""
    return name.split("~")[-1].split("+")[-1]

pull = repository_rule(
    implementation = _pull_impl,
    doc = """Makes an image in a registry usable as a `base`, by its manifests and configs alone: its layers stay where they are.

```starlark
pull = use_repo_rule("@rules_img//img:pull.bzl", "pull")

pull(
    name = "ubuntu",
    digest = "sha256:…",
    registry = "index.docker.io",
    repository = "library/ubuntu",
    tag = "24.04",
)
```

Then `base = "@ubuntu"`. Credentials come from `$REGISTRY_AUTH_FILE`, Docker's config, or Podman's `auth.json`.
""",
    attrs = {
        "digest": attr.string(
            doc = "Digest of the manifest or index, `sha256:…`.",
        ),
        "downloader": attr.string(
            default = "img_tool",
            values = ["img_tool", "bazel"],
            doc = "What contacts the registry.",
        ),
        "layer_handling": attr.string(
            default = "shallow",
            values = ["shallow", "eager", "lazy"],
            doc = "`shallow`: manifests and configs only.",
        ),
        "registries": attr.string_list(
            doc = "Hosts that have the image, in the order to try them, instead of `registry`.",
        ),
        "registry": attr.string(
            doc = "Host of the registry. Empty: Docker Hub.",
        ),
        "repository": attr.string(
            doc = "Repository in the registry, such as `library/ubuntu`.",
            mandatory = True,
        ),
        "tag": attr.string(
            doc = "Tag that the digest belongs to, for people and for annotations.",
        ),
        "unsafe_allow_tag_without_digest": attr.bool(
            doc = "Take whatever the tag names today. The build is then not reproducible; the digest to pin is printed.",
        ),
        "_import_bzl": attr.label(default = "//img/private/rules:import.bzl"),
        "_tool": attr.label(default = "@rules_img_tool_host//:BUILD.bazel"),
    },
    environ = ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "HOME", "SSL_CERT_FILE"],
)
