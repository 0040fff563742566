"""images: the images that all modules of a build pull, each blob once.

An image is a repository of its own, by what it is and not by what it is called, so that modules that pull the same image share it. It is
fetched when a target needs it. Layers that are not shallow are repositories too, which images share; to declare them the extension must know
the manifests of these images, which come from the lockfile (the facts of newer Bazels), from Bazel's repository cache, or else from the
registry.
"""

load("//img/private/repo:facts.bzl", "learned")
load("//img/private/repo:fetch.bzl", "blob_path", "check_digest", "fetch_blobs", "finish", "origin", "resolve")
load("//img/private/repo:image.bzl", "layers_of", "read_image", "write_image")
load("//img/private/repo:pull.bzl", "DOWNLOADER", "LAYER_HANDLING", "PLACE_ATTRS", "TOOL", "asker", "blob_target", "own_name", "registries")

visibility("//img")

_HUB = "rules_img_images"

# What wins when modules want the layers of one image in several ways: whoever needs them gets them.
_HANDLINGS = ["shallow", "lazy", "eager"]

def _images_impl(mctx):
    settings = _settings(mctx)
    facts = learned(mctx)
    images = {}
    for name, wanted in _wanted(mctx).items():
        from_ = _origin(mctx, settings, name, wanted)
        digest = wanted.tag.digest or facts.get("%s/%s:%s" % (",".join(from_.registries), from_.repository, wanted.tag.tag), lambda: _pin(from_, wanted.tag.tag))
        layers = []
        if wanted.handling != "shallow":
            layers = facts.get(digest, lambda: _layers(from_, digest))
        images[name] = struct(origin = from_, digest = digest, tag = wanted.tag.tag, handling = wanted.handling, layers = layers)
        finish(from_)
    repos = _declare_layers(settings, images)
    _declare_images(settings, images, repos)
    return _extension_metadata(mctx, settings, facts)

def _settings(mctx):
    """The root module's settings, or the defaults. Those of others are not asked: a dependency does not say how the root fetches."""
    for module in mctx.modules:
        if module.is_root and len(module.tags.settings) > 1:
            fail("images.settings: is set twice: keep one of them")
        if module.is_root and module.tags.settings:
            return module.tags.settings[0]
    return struct(downloader = "img_tool", hub_repo = True, image_repos = False)

def _wanted(mctx):
    """Which image each name is: the root module's choice, or else what the other modules agree upon."""
    wanted = {}
    for module in mctx.modules:  # the root first
        for tag in module.tags.pull:
            if tag.digest:
                check_digest("images.pull(name = %r) of %s" % (tag.name, _module_name(module)), "digest", tag.digest)
            elif not tag.tag:
                fail("images.pull(name = {}) of {}: digest: is missing, and so is tag: say which image, by digest = \"sha256:…\" or at least by a tag".format(repr(tag.name), _module_name(module)))
            have = wanted.get(tag.name)
            if not have:
                wanted[tag.name] = struct(module = module, tag = tag, handling = tag.layer_handling)
            elif _is_same(have.tag, tag) and have.module.is_root and not module.is_root:
                pass  # what the root says of it counts
            elif _is_same(have.tag, tag):
                more = max(_HANDLINGS.index(have.handling), _HANDLINGS.index(tag.layer_handling))
                wanted[tag.name] = struct(module = have.module, tag = have.tag, handling = _HANDLINGS[more])
            elif have.module.is_root == module.is_root:
                fail("images.pull: {} is {} for {} and {} for {}: {}".format(
                    repr(tag.name),
                    _describe(have.tag),
                    _module_name(have.module),
                    _describe(tag),
                    _module_name(module),
                    "give one of them another name" if module.is_root else "pull it under this name in the root module, whose choice all will use",
                ))
    return wanted

def _is_same(a, b):
    return a.digest == b.digest and (a.digest or _reference(a) == _reference(b))

def _reference(tag):
    return registries(tag)[-1], tag.repository, tag.tag

def _describe(tag):
    return "%s/%s%s" % (registries(tag)[0], tag.repository, "@" + tag.digest if tag.digest else ":" + tag.tag)

def _module_name(module):
    return "the root module" if module.is_root else "the module %s@%s" % (module.name, module.version)

def _origin(mctx, settings, name, wanted):
    return origin(
        mctx,
        name = "images.pull(name = %r)" % name,
        registries = registries(wanted.tag),
        repository = wanted.tag.repository,
        downloader = settings.downloader,
        tool = Label("@rules_img_tool_host//:BUILD.bazel"),
    )

def _pin(from_, tag):
    digest = resolve(from_, tag)

    # buildifier: disable=print
    print("{}: {} is now {}: pin it with digest = \"{}\"".format(from_.name, tag, digest, digest))
    return digest

def _layers(from_, digest):
    return [[d["digest"], d["size"]] for d in layers_of(read_image(from_, digest))]

def _declare_layers(settings, images):
    """Declares a repository for each layer that is not shallow. Returns, for each handling, digest → label of the blob."""
    repos = {handling: {} for handling in _HANDLINGS}
    for image in images.values():
        for digest, size in image.layers:
            if digest in repos[image.handling]:
                continue
            name = "rules_img_%s_%s" % ("layer" if image.handling == "eager" else "lazy_layer", digest.split(":")[1][:32])
            repos[image.handling][digest] = "@%s//:blob" % name
            _layer(
                name = name,
                digest = digest,
                downloader = settings.downloader,
                lazy = image.handling == "lazy",
                registries = image.origin.registries,
                repository = image.origin.repository,
                bytes = str(size),
            )
    return repos

def _layer_impl(rctx):
    path = blob_path(rctx.attr.digest)
    descriptor = {"digest": rctx.attr.digest, "size": int(rctx.attr.bytes)}
    build = ["package(default_visibility = [\"//visibility:public\"])\n"]
    if rctx.attr.lazy:
        build.insert(0, "load(\"%s\", \"blob\")\n" % rctx.attr._blob_bzl)
        build.append(blob_target(descriptor, "blob", rctx.attr.registries, rctx.attr.repository))
    else:
        from_ = origin(
            rctx,
            name = asker(rctx),
            registries = rctx.attr.registries,
            repository = rctx.attr.repository,
            downloader = rctx.attr.downloader,
            tool = rctx.attr._tool,
        )
        fetch_blobs(from_, [descriptor])
        finish(from_)
        build.append("alias(name = \"blob\", actual = %r)\n" % path)
    rctx.file("BUILD.bazel", "\n".join(build))
    return _reproducible(rctx)

_layer = repository_rule(
    implementation = _layer_impl,
    doc = "One layer, for all images that have it.",
    attrs = PLACE_ATTRS | {
        "bytes": attr.string(doc = "How many. A string, since it may be more than an attribute's integer holds.", mandatory = True),
        "digest": attr.string(mandatory = True),
        "downloader": DOWNLOADER,
        "lazy": attr.bool(doc = "Whether a build action pulls it."),
        "_blob_bzl": attr.label(default = "//img/private/rules:blob.bzl"),
        "_tool": TOOL,
    },
)

def _declare_images(settings, images, layers):
    """Declares a repository for each image, one for each name, and the hub."""
    declared = {}
    for image in images.values():
        name = _image_repo(image)
        if name in declared:
            continue
        declared[name] = True
        _image(
            name = name,
            digest = image.digest,
            downloader = settings.downloader,
            layers = {d: layers[image.handling][d] for d, _ in image.layers},
            registries = image.origin.registries,
            repository = image.origin.repository,
            tag = image.tag,
        )
    targets = {name: "@%s//:image" % _image_repo(image) for name, image in images.items()}
    for name, target in targets.items():
        _alias(name = name, actual = target)
    _hub(name = _HUB, images = targets)

def _image_repo(image):
    """Tells images apart by what they are, and by where they come from, which is part of the image that is built on them."""
    place = "%s/%s:%s" % (image.origin.registries, image.origin.repository, image.tag)
    return "rules_img_image_%s_%s_%x" % (image.digest.split(":")[1][:32], image.handling, hash(place) & 0xffffffff)

def _image_impl(rctx):
    from_ = origin(
        rctx,
        name = asker(rctx),
        registries = rctx.attr.registries,
        repository = rctx.attr.repository,
        downloader = rctx.attr.downloader,
        tool = rctx.attr._tool,
    )
    write_image(
        rctx,
        name = "image",
        image = read_image(from_, rctx.attr.digest),
        pulled = struct(registries = rctx.attr.registries, repository = rctx.attr.repository, tag = rctx.attr.tag),
        blobs = rctx.attr.layers,
        import_bzl = rctx.attr._import_bzl,
    )
    finish(from_)
    return _reproducible(rctx)

_image = repository_rule(
    implementation = _image_impl,
    doc = "One image, for all modules that pull it.",
    attrs = PLACE_ATTRS | {
        "digest": attr.string(mandatory = True),
        "downloader": DOWNLOADER,
        "layers": attr.string_dict(doc = "Digest of a layer → label of its bytes."),
        "tag": attr.string(),
        "_import_bzl": attr.label(default = "//img/private/rules:import.bzl"),
        "_tool": TOOL,
    },
)

def _alias_impl(rctx):
    rctx.file("BUILD.bazel", """alias(
    name = {name},
    actual = {actual},
    visibility = ["//visibility:public"],
)
""".format(name = repr(own_name(rctx)), actual = repr(rctx.attr.actual)))
    return _reproducible(rctx)

_alias = repository_rule(
    implementation = _alias_impl,
    doc = "An image by one of its names.",
    attrs = {"actual": attr.string(mandatory = True)},
)

def _hub_impl(rctx):
    rctx.file("BUILD.bazel", "package(default_visibility = [\"//visibility:public\"])\n" + "".join([
        "\nalias(\n    name = %r,\n    actual = %r,\n)\n" % (name, target)
        for name, target in rctx.attr.images.items()
    ]))
    rctx.file(_HUB + ".bzl", _HUB_BZL + "".join([
        "    %r: Label(%r),\n" % (name, target)
        for name, target in rctx.attr.images.items()
    ]) + "}\n")
    return _reproducible(rctx)

_HUB_BZL = '''"""The images that the modules of this build pull."""

def image(name):
    """An image by the name that images.pull() gave it.

    Args:
      name: (str) the name.

    Returns:
      Label, for `base` and wherever an image goes.
    """
    if name not in _IMAGES:
        fail("image(%r): no module pulls an image of this name with images.pull(): there are %s" % (name, ", ".join(_IMAGES) or "none"))
    return _IMAGES[name]

_IMAGES = {
'''

_hub = repository_rule(
    implementation = _hub_impl,
    doc = "All images by their names.",
    attrs = {"images": attr.string_dict()},
)

def _reproducible(rctx):
    return rctx.repo_metadata(reproducible = True) if hasattr(rctx, "repo_metadata") else None

def _extension_metadata(mctx, settings, facts):
    """Tells Bazel what the root module should import, and whether the result belongs into the lockfile."""
    imported, imported_for_dev = {}, {}
    if settings.hub_repo:
        (imported if mctx.root_module_has_non_dev_dependency else imported_for_dev)[_HUB] = True
    pinned = True
    for module in mctx.modules:
        for tag in module.tags.pull:
            pinned = pinned and bool(tag.digest)
            if settings.image_repos and module.is_root:
                (imported_for_dev if mctx.is_dev_dependency(tag) else imported)[tag.name] = True
    has_facts = hasattr(mctx, "facts")
    return mctx.extension_metadata(
        root_module_direct_deps = imported.keys(),
        root_module_direct_dev_deps = imported_for_dev.keys(),
        reproducible = pinned or has_facts,
        **({"facts": facts.all} if has_facts else {})
    )

images = module_extension(
    implementation = _images_impl,
    doc = """Pulls images for all modules of a build, each of them once.

```starlark
images = use_extension("@rules_img//img:extensions.bzl", "images")
images.pull(
    name = "ubuntu",
    digest = "sha256:…",
    repository = "library/ubuntu",
    tag = "24.04",
)
use_repo(images, "rules_img_images")
```

Then, in a BUILD file:

```starlark
load("@rules_img_images//:rules_img_images.bzl", "image")

image_manifest(
    name = "app",
    base = image("ubuntu"),
)
```

When modules pull different images under one name, the root module's is the one that all get; modules that differ without the root having said
anything are an error.
""",
    tag_classes = {
        "pull": tag_class(
            attrs = PLACE_ATTRS | {
                "digest": attr.string(
                    doc = "Digest of the manifest or index, `sha256:…`. Without it the tag is looked up, the digest to pin is printed, and only Bazel's lockfile keeps the build as it is.",
                ),
                "layer_handling": LAYER_HANDLING,
                "name": attr.string(
                    doc = "What the image is called, in all modules.",
                    mandatory = True,
                ),
                "tag": attr.string(
                    doc = "Tag that the digest belongs to, for people and for annotations; it is asked for only where there is no digest.",
                ),
            },
            doc = "An image to pull.",
        ),
        "settings": tag_class(
            attrs = {
                "downloader": DOWNLOADER,
                "hub_repo": attr.bool(
                    default = True,
                    doc = "Whether the root module imports the hub, `rules_img_images`. What it imports is what `bazel mod tidy` writes into its use_repo().",
                ),
                "image_repos": attr.bool(
                    doc = "Whether the root module imports each image that it pulls as a repository of its name: `base = \"@ubuntu\"`.",
                ),
            },
            doc = "How images are pulled. Only the root module's count.",
        ),
    },
)
