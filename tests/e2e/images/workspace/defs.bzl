"""A rule that is image_manifest with defaults and attributes of its own."""

load("@rules_img//img:image.bzl", "image_manifest")
load("@rules_img//img:providers.bzl", "ImageManifestInfo")

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
