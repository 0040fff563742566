"""pull: an image in a registry as a repository."""

load("//img/private:label.bzl", "apparent")
load("//img/private/repo:fetch.bzl", "blob_path", "check_digest", "fetch_blobs", "finish", "origin", "resolve")
load("//img/private/repo:image.bzl", "layers_of", "read_image", "write_image")

visibility(["//img", "//img/private/repo"])

def _pull_impl(rctx):
    _check(rctx)
    from_ = origin(
        rctx,
        name = asker(rctx),
        registries = registries(rctx.attr),
        repository = rctx.attr.repository,
        downloader = rctx.attr.downloader,
        tool = rctx.attr._tool,
    )
    digest = rctx.attr.digest or resolve(from_, rctx.attr.tag)
    image = read_image(from_, digest)
    blobs, targets = _LAYERS[rctx.attr.layer_handling](rctx, from_, image)
    write_image(
        rctx,
        name = own_name(rctx),
        image = image,
        pulled = struct(registries = from_.registries, repository = rctx.attr.repository, tag = rctx.attr.tag),
        blobs = blobs,
        import_bzl = rctx.attr._import_bzl,
        extra = targets,
    )
    finish(from_)
    return _metadata(rctx, digest)

def _check(rctx):
    if rctx.attr.digest:
        check_digest(asker(rctx), "digest", rctx.attr.digest)
    elif not rctx.attr.tag:
        fail("{}: digest: is missing, and so is tag: a pull is pinned by digest. To find it, set tag, and unsafe_allow_tag_without_digest = True once: the digest is then printed.".format(asker(rctx)))
    elif not rctx.attr.unsafe_allow_tag_without_digest:
        fail("{}: digest: is missing: a pull is pinned by digest. To find it, set unsafe_allow_tag_without_digest = True once: the digest of {} is then printed.".format(asker(rctx), repr(rctx.attr.tag)))

def _no_layers(_rctx, _from, _image):
    return {}, ""

def _eager_layers(_rctx, from_, image):
    layers = layers_of(image)
    fetch_blobs(from_, layers)
    return {d["digest"]: blob_path(d["digest"]) for d in layers}, ""

def _lazy_layers(rctx, from_, image):
    layers = layers_of(image)
    targets = ["load(\"%s\", \"blob\")\n" % rctx.attr._blob_bzl]
    targets += [blob_target(d, "layer-" + d["digest"].split(":")[1], from_.registries, from_.repository) for d in layers]
    return {d["digest"]: ":layer-" + d["digest"].split(":")[1] for d in layers}, "\n".join(targets)

_LAYERS = {"eager": _eager_layers, "lazy": _lazy_layers, "shallow": _no_layers}

def blob_target(descriptor, name, registries, repository):
    """The text of a target that pulls a layer when a build asks for it.

    Args:
      descriptor: (dict) of the layer.
      name: (str) of the target.
      registries: (list of str) hosts.
      repository: (str) repository in each of them.

    Returns:
      (str) for a BUILD file that loads blob.
    """
    return "blob(\n    name = %r,\n    digest = %r,\n    registries = %r,\n    repository = %r,\n    bytes = %r,\n)\n" % (
        name,
        descriptor["digest"],
        registries,
        repository,
        str(descriptor["size"]),
    )

def registries(attr):
    """The hosts to ask, in their order.

    Args:
      attr: of a rule or tag with PLACE_ATTRS.

    Returns:
      list of str, never empty; an empty string is Docker Hub.
    """
    last = [attr.registry or "index.docker.io"] if attr.registry or not attr.registries else []
    return [r for r in attr.registries if r not in last] + last

def own_name(rctx):
    """The name that the user gave to the repository, out of Bazel's canonical one."""
    return getattr(rctx, "original_name", None) or apparent(rctx.name)

def asker(rctx):
    """How messages name the repository: as a BUILD file does."""
    return "@" + own_name(rctx)

def _metadata(rctx, digest):
    """Tells Bazel whether the repository would be the same another time; tells people how to make it so."""
    if not rctx.attr.digest:
        # buildifier: disable=print
        print("{}: {} is now {}: pin it with digest = \"{}\"".format(asker(rctx), rctx.attr.tag, digest, digest))
    if not hasattr(rctx, "repo_metadata"):  # Bazel 8.3
        return None
    if rctx.attr.digest:
        return rctx.repo_metadata(reproducible = True)
    return rctx.repo_metadata(attrs_for_reproducibility = {
        "digest": digest,
        "name": own_name(rctx),
        "registries": rctx.attr.registries,
        "registry": rctx.attr.registry,
        "repository": rctx.attr.repository,
        "tag": rctx.attr.tag,
    })

# Where an image is: what the repository rules and the tags of the extension share.
PLACE_ATTRS = {
    "registries": attr.string_list(
        doc = "Hosts that have the image too, in the order to ask them, before `registry` if that is set. The next is asked when one does not deliver, for whatever reason.",
    ),
    "registry": attr.string(
        doc = "Host, or host:port, of the registry. Empty, with no `registries`: Docker Hub.",
    ),
    "repository": attr.string(
        doc = "Repository in the registry, such as `library/ubuntu`.",
        mandatory = True,
    ),
}

LAYER_HANDLING = attr.string(
    default = "shallow",
    values = ["shallow", "eager", "lazy"],
    doc = """When layers are fetched. `shallow`: never by a build; they stay in the registry, and pushes and loads take them from there. `eager`: with the
manifests. `lazy`: each when an action needs it, by a build action (mnemonic `ImgBlob`). Layouts and archives need `eager` or `lazy`.""",
)

DOWNLOADER = attr.string(
    default = "img_tool",
    values = ["img_tool", "bazel"],
    doc = """Who fetches from the registry. `img_tool`: the img tool. `bazel`: Bazel's own downloader, with its flags, its configuration and its remote cache; the
img tool logs in for it (tokens, Docker's credentials). Both read and fill Bazel's repository cache.""",
)

# The host's img tool.
TOOL = attr.label(default = "@rules_img_tool_host//:BUILD.bazel")

pull = repository_rule(
    implementation = _pull_impl,
    doc = """Makes an image in a registry usable as a `base`. Without more, only its manifests and configs are fetched.

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

Then `base = "@ubuntu"`. The default target is compatible with the platforms that the image has: for others, Bazel skips what stands on it, or
says which there are. Attestations that builders put beside the images of an index are ignored.

Credentials come from `$REGISTRY_AUTH_FILE`, Docker's config (credential stores and helpers included) or Podman's `auth.json`. Blobs that are in
Bazel's repository cache are not fetched again.
""",
    attrs = PLACE_ATTRS | {
        "digest": attr.string(
            doc = "Digest of the manifest or index, `sha256:…`. Must be set, unless `unsafe_allow_tag_without_digest` is.",
        ),
        "downloader": DOWNLOADER,
        "layer_handling": LAYER_HANDLING,
        "tag": attr.string(
            doc = "Tag that the digest belongs to, for people and for annotations; it is asked for only where there is no digest.",
        ),
        "unsafe_allow_tag_without_digest": attr.bool(
            doc = "Take whatever the tag names today. The build is then not reproducible; the digest to pin is printed.",
        ),
        "_blob_bzl": attr.label(default = "//img/private/rules:blob.bzl"),
        "_import_bzl": attr.label(default = "//img/private/rules:import.bzl"),
        "_tool": TOOL,
    },
)
