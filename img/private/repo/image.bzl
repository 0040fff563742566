"""An image in a registry, read down to its configs, and the repository that it becomes."""

load("//img/private:platforms.bzl", "CPU", "OS", "format_platform")
load("//img/private/repo:fetch.bzl", "blob_path", "check_digest", "fetch_blobs", "fetch_manifests")

visibility(["//img/private/repo", "//tests/..."])

_CONFIGS = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
]

# How deep indexes may be inside each other.
_DEPTH = 8

def read_image(origin, digest):
    """Fetches the manifests and configs of an image.

    Args:
      origin: where from, of fetch.bzl.
      digest: (str) of the image: a manifest or an index.

    Returns:
      struct(digest, is_index, manifests): manifests are structs of one for each platform.
    """
    found = []
    level = [{"digest": digest}]
    is_index = None
    seen = {}  # indexes, each of which is gone through once: eight levels that name the next a thousand times must not cost 1000⁸
    for _ in range(_DEPTH):  # a level at a time, so that what is missing of it is fetched together
        fetch_manifests(origin, [d["digest"] for d in level])
        below = []
        for d in level:
            if d["digest"] in seen:
                continue
            doc = _document(origin, d["digest"])
            if is_index == None:
                is_index = "manifests" in doc
            if "manifests" in doc:
                seen[d["digest"]] = True
                below += [c for c in _children(origin, d["digest"], doc) if not _is_attestation(c)]
            elif _is_image(doc):
                _check_descriptor(origin, d["digest"], "config", doc["config"], ["digest"])
                found.append((d, doc))
            elif d["digest"] == digest:
                _fail_artifact(origin, d["digest"], doc)
        level = below
        if not level:
            break
    if level:
        fail("{}: {} has indexes inside each other more than {} deep".format(origin.name, digest, _DEPTH))
    if not found:
        fail("{}: {} in {} holds no image for any platform".format(origin.name, digest, origin.repository))
    fetch_blobs(origin, [doc["config"] for _, doc in found])
    return struct(
        digest = digest,
        is_index = is_index,
        manifests = [_manifest(origin, d, doc) for d, doc in found],
    )

# The fields that are read → their types.
_DESCRIPTOR = {"mediaType": "string", "digest": "string", "size": "int", "annotations": "dict", "platform": "dict", "urls": "list"}
_PLATFORM = {"os": "string", "architecture": "string", "variant": "string", "os.version": "string", "os.features": "list"}
_DOCUMENT = {"mediaType": "string", "artifactType": "string", "config": "dict", "layers": "list", "manifests": "list"}

_TYPES = {"dict": "an object", "int": "a number without a fraction", "list": "a list", "string": "a string"}

def _check(origin, digest, path, value, fields, required = []):
    """Fails unless a part of what a registry sent is an object whose fields have the right types. A field that is null is not there.

    Args:
      origin: where from.
      digest: (str) of the blob that it is in.
      path: (str) where in it, such as "layers[0]"; "" for all of it.
      value: what is there.
      fields: (dict) field → type.
      required: (list of str) fields that must be there.
    """
    where = "{}: {} in {}: ".format(origin.name, digest, origin.repository)
    if type(value) != "dict":
        fail("{}{}is {}: want an object".format(where, path + ": " if path else "", _shown(value)))
    for field, wanted in fields.items():
        found = value.get(field)
        if type(found) != wanted and (found != None or field in required):
            fail("{}{}{}: is {}: want {}".format(where, path + "." if path else "", field, "missing" if found == None else _shown(found), _TYPES[wanted]))

def _shown(value):
    text = json.encode(value)
    return text if len(text) <= 100 else text[:100] + "…"

def _check_descriptor(origin, digest, path, descriptor, required):
    _check(origin, digest, path, descriptor, _DESCRIPTOR, required)
    check_digest(origin.name, "%s: %s.digest" % (digest, path), descriptor["digest"])
    if (descriptor.get("size") or 0) < 0:
        fail("{}: {} in {}: {}.size: is {}: want a number of bytes".format(origin.name, digest, origin.repository, path, descriptor["size"]))
    if descriptor.get("platform") != None:
        _check(origin, digest, path + ".platform", descriptor["platform"], _PLATFORM)

def _document(origin, digest):
    doc = json.decode(origin.ctx.read(blob_path(digest)), default = None)
    if type(doc) != "dict":
        fail("{}: {} in {} is no manifest: it is no JSON object. pull_blob_file() fetches other blobs.".format(origin.name, digest, origin.repository))
    if doc.get("schemaVersion") == 1:
        fail("{}: {} in {} is a manifest of Docker's schema 1, which has no digests of layers as they are: push the image again with a tool of this decade".format(origin.name, digest, origin.repository))
    _check(origin, digest, "", doc, _DOCUMENT)
    return doc

def _children(origin, digest, index):
    children = index["manifests"] or []
    for i, child in enumerate(children):
        _check_descriptor(origin, digest, "manifests[%d]" % i, child, ["digest"])
    return children

def _is_attestation(descriptor):
    """What builders put beside the images of an index."""
    platform = descriptor.get("platform") or {}
    return (platform.get("os"), platform.get("architecture")) == ("unknown", "unknown")

def _is_image(doc):
    return (doc.get("config") or {}).get("mediaType") in _CONFIGS

def _fail_artifact(origin, digest, doc):
    fail("{}: {} in {} is no image but an artifact of the type {}: pull_manifest_blob() fetches its manifest, and pull_blob_file() each of its blobs".format(
        origin.name,
        digest,
        origin.repository,
        repr(doc.get("artifactType") or (doc.get("config") or {}).get("mediaType", "unknown")),
    ))

def _manifest(origin, descriptor, doc):
    digest = descriptor["digest"]
    config_digest = doc["config"]["digest"]
    config = json.decode(origin.ctx.read(blob_path(config_digest)), default = None)
    _check(origin, config_digest, "", config, _PLATFORM | {"rootfs": "dict"})
    _check(origin, config_digest, "rootfs", config.get("rootfs") or {}, {"diff_ids": "list"})
    diff_ids = (config.get("rootfs") or {}).get("diff_ids") or []
    for i, diff_id in enumerate(diff_ids):
        check_digest(origin.name, "%s: rootfs.diff_ids[%d]" % (config_digest, i), diff_id)
    layers = doc.get("layers") or []
    for i, layer in enumerate(layers):
        _check_descriptor(origin, digest, "layers[%d]" % i, layer, ["mediaType", "digest", "size"])
    if len(diff_ids) != len(layers):
        fail("{}: {} in {} has {} layers, and its config {} diff IDs".format(origin.name, digest, origin.repository, len(layers), len(diff_ids)))
    platform = {k: config[k] for k in _PLATFORM if config.get(k)}
    platform.update({k: v for k, v in (descriptor.get("platform") or {}).items() if v})
    described = {
        "mediaType": doc.get("mediaType") or "application/vnd.oci.image.manifest.v1+json",
        "size": _size(origin.ctx, digest),
    }
    described.update({k: v for k, v in descriptor.items() if v != None})
    described["platform"] = platform
    return struct(
        digest = digest,
        config = config_digest,
        descriptor = described,
        layers = [struct(descriptor = d, diff_id = i) for d, i in zip(layers, diff_ids)],
        os = platform.get("os", "linux"),
        architecture = platform.get("architecture", "amd64"),
        variant = platform.get("variant", ""),
    )

def _size(ctx, digest):
    # In characters, which are bytes: what is not ASCII is read as one character for each byte.
    return len(ctx.read(blob_path(digest)))

def layers_of(image):
    """The layers of all platforms that a registry has, each once.

    Args:
      image: what read_image() returned.

    Returns:
      list of dict: their descriptors. Those with URLs of their own are left out, as a registry need not have them.
    """
    return {
        layer.descriptor["digest"]: layer.descriptor
        for m in image.manifests
        for layer in m.layers
        if not layer.descriptor.get("urls")
    }.values()

def write_image(ctx, *, name, image, pulled, blobs, import_bzl, extra = ""):
    """Writes the BUILD file of an image, and the metadata that its targets need.

    Args:
      ctx: the repository_ctx.
      name: (str) name of the default target.
      image: what read_image() returned.
      pulled: struct(registries, repository, tag): where it came from.
      blobs: (dict) digest of a layer → label of its bytes; layers without one are known by their descriptors alone.
      import_bzl: (Label) of rules/import.bzl.
      extra: (str) more targets.
    """
    build = [_HEAD.format(bzl = import_bzl), extra] if extra else [_HEAD.format(bzl = import_bzl)]
    targets = []
    for n, m in enumerate(image.manifests):
        targets.append(":image-%d" % n)
        build.append(_manifest_target(ctx, name, targets[-1][1:], m, blobs))
    build.append(_platform_targets(image))
    build.append(_call("imported_index", {
        "name": name,
        "digest": image.digest,
        "index": blob_path(image.digest) if image.is_index else None,
        "manifests": targets,
        "registries": pulled.registries,
        "repository": pulled.repository,
        "tag": pulled.tag,
    }, target_compatible_with = _compatible_with(image)))
    ctx.file("BUILD.bazel", "\n".join(build))
    _write_package_metadata(ctx, image, pulled, import_bzl)

_HEAD = """# Made by the repository rule pull.
load("{bzl}", "imported_index", "imported_manifest")

package(
    default_package_metadata = ["//package_metadata"],
    default_visibility = ["//visibility:public"],
)
"""

def _manifest_target(ctx, image_name, target, m, blobs):
    _write_json(ctx, "descriptors/%s.json" % target, m.descriptor)
    metadata = []
    for i, layer in enumerate(m.layers):
        metadata.append("layers/%s-%d.json" % (target, i))
        _write_json(ctx, metadata[-1], _layer_metadata(image_name, layer))
    digests = [layer.descriptor["digest"] for layer in m.layers]
    return _call("imported_manifest", {
        "name": target,
        "architecture": m.architecture,
        "blobs": {blobs[d]: d.split(":")[1] for d in digests if d in blobs},
        "config": blob_path(m.config),
        "descriptor": "descriptors/%s.json" % target,
        "layer_digests": [d.split(":")[1] for d in digests],
        "layer_media_types": [layer.descriptor["mediaType"] for layer in m.layers],
        "layers": metadata,
        "manifest": blob_path(m.digest),
        "os": m.os,
        "platform": json.encode(m.descriptor["platform"]),
        "variant": m.variant,
    })

def _write_json(ctx, path, value):
    """Writes what was read from other JSON. Strings that Bazel has read are bytes: before Bazel 8, it must be told not to encode them again."""
    as_read = {"legacy_utf8": False} if native.bazel_version.startswith("7.") else {}
    ctx.file(path, json.encode(value), **as_read)

def _layer_metadata(image_name, layer):
    d = layer.descriptor
    fields = {
        "name": "%s@%s" % (image_name, d["digest"]),
        "mediaType": d["mediaType"],
        "digest": d["digest"],
        "size": d["size"],
        "diff_id": layer.diff_id,
    }
    if d.get("annotations"):
        fields["annotations"] = d["annotations"]
    return fields

def _platform_targets(image):
    """What no platform has. Its name is what Bazel says of a target that is incompatible: where the image does run."""
    return _call("constraint_setting", {"name": "platform"}) + "\n" + _call("constraint_value", {
        "name": _platform_names(image),
        "constraint_setting": ":platform",
    })

def _platform_names(image):
    return "one of " + ", ".join({
        format_platform(struct(os = _plain(m.os), architecture = _plain(m.architecture), variant = _plain(m.variant))): True
        for m in image.manifests
    }.keys())

_PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

def _plain(text):
    """A part of a platform as a part of a target's name, in which not everything may stand that a registry may send."""
    plain = "".join([c if c in _PLAIN else "_" for c in text.elems()])
    return "_" + plain if plain.startswith(".") else plain

def _compatible_with(image):
    """A select() over the systems and architectures of the image. Which variant is taken is the choice of the image that stands on it."""
    branches = {}
    for m in image.manifests:
        if m.os in OS and m.architecture in CPU:
            branches[str(Label("//img/private/platform:%s_%s" % (m.os, m.architecture)))] = []
    branches["//conditions:default"] = [":" + _platform_names(image)]
    return "select(%r)" % branches

def _write_package_metadata(ctx, image, pulled, import_bzl):
    ctx.file("package_metadata/BUILD.bazel", """# Made by the repository rule pull.
load("{bzl}", "package_metadata")

package_metadata(
    name = "package_metadata",
    purl = {purl},
    visibility = ["//visibility:public"],
)
""".format(bzl = import_bzl, purl = repr(_purl(image.digest, pulled))))

def _purl(digest, pulled):
    """The package URL of an image, https://github.com/package-url/purl-spec, type oci."""
    repository = "%s/%s" % (pulled.registries[-1] or "docker.io", pulled.repository)
    qualifiers = ["repository_url=" + repository.replace(":", "%3A")]
    if pulled.tag:
        qualifiers.append("tag=" + pulled.tag)
    return "pkg:oci/%s@%s?%s" % (pulled.repository.split("/")[-1].lower(), digest.replace(":", "%3A"), "&".join(qualifiers))

def _call(rule, attributes, **verbatim):
    """The text of a call in a BUILD file."""
    lines = ["    %s = %r,\n" % (k, v) for k, v in attributes.items() if v not in [None, "", [], {}]]
    lines += ["    %s = %s,\n" % (k, v) for k, v in verbatim.items()]
    return "%s(\n%s)\n" % (rule, "".join(lines))
