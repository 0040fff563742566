"""What an image stands on."""

load(":image.bzl", "manifests_of")
load(":platforms.bzl", "choose", "format_platform")
load(":providers.bzl", "ImageIndexInfo", "ImageManifestInfo", "PullInfo")

visibility("//img/private/rules/...")

def choose_base(ctx, base, platform):
    """The manifest of base to build on.

    Args:
      ctx: the rule's context.
      base: (Target|None) an image or an index.
      platform: the platform to build for, with the fields os, architecture and variant.

    Returns:
      ImageManifestInfo, or None without a base.
    """
    if not base:
        return None
    candidates = base[ImageIndexInfo].manifests if ImageIndexInfo in base else [base[ImageManifestInfo]]
    found = choose(candidates, platform)
    if not found:
        fail("{}: base: {} has nothing for {}: it has {}. Build for one of these (--platforms, or the attribute platform), or choose another base.".format(
            ctx.label,
            base.label,
            format_platform(platform),
            ", ".join([format_platform(c) for c in candidates]) or "no platform",
        ))
    return found

def pulls_of(target, image):
    """Where the layers of an image that are not here can be pulled from.

    Args:
      target: (Target) of the image.
      image: (ImageManifestInfo|ImageIndexInfo) that it is.

    Returns:
      list of PullInfo, each once.
    """
    found = [getattr(m, "pull", None) for m in manifests_of(image)] + [only_pull(target)]
    pulls = []
    for p in found:
        if p and p not in pulls:
            pulls.append(p)
    return pulls

def only_pull(base):
    """The PullInfo of base.

    Args:
      base: (Target|None) an image or an index.

    Returns:
      PullInfo, or None.
    """
    return base[PullInfo] if base and PullInfo in base else None
