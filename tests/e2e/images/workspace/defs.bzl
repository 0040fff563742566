"""A rule that is image_manifest with defaults and attributes of its own."""

load("@rules_img//img:image.bzl", "image_index", "image_manifest")
load("@rules_img//img:load.bzl", "image_load")
load("@rules_img//img:providers.bzl", "ImageManifestInfo")
load("@rules_img//img:push.bzl", "image_push")

TeamInfo = provider(doc = "Who owns an image.", fields = {"team": "(str) the team"})

def _init(team = "nobody", labels = {}, **kwargs):
    return dict(team = team, labels = {"team": team} | labels, **kwargs)

def _company_image_impl(ctx):
    providers = ctx.super()
    if not [p for p in providers if hasattr(p, "missing_blobs")]:
        fail("image_manifest returns no ImageManifestInfo")
    return providers + [TeamInfo(team = ctx.attr.team)]

company_image = rule(
    implementation = _company_image_impl,
    attrs = {"team": attr.string()},
    initializer = _init,
    parent = image_manifest,
    provides = [ImageManifestInfo, TeamInfo],
)

_UNKNOWN = "{{.STABLE_VERSION}}"

def unknown_keys(build_settings, image):
    """Declares targets, each with a key in one attribute that is not there.

    Args:
      build_settings: (dict) what is there.
      image: (str) label of an image.
    """
    kwargs = dict(build_settings = build_settings, tags = ["manual"])
    for attribute in ["annotations", "env", "labels"]:
        image_manifest(name = "unknown_" + attribute, **(kwargs | {attribute: {"VERSION": _UNKNOWN}}))
    image_index(name = "unknown_of_index", annotations = {"VERSION": _UNKNOWN}, manifests = [image], **kwargs)
    for attribute in ["registry", "repository", "tag"]:
        image_push(name = "unknown_" + attribute, image = image, **(kwargs | {"repository": "app"} | {attribute: _UNKNOWN}))
    image_load(name = "unknown_of_load", image = image, tag = "app:" + _UNKNOWN, **kwargs)
