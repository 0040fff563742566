"""What an image stands on."""

load(":image.bzl", "manifests_of")
load(":label.bzl", "written")
load(":platforms.bzl", "choose", "format_platform")
load(":providers.bzl", "ImageIndexInfo", "ImageManifestInfo", "PullInfo")

visibility("//img/private/rules/...")

def choose_base(ctx, base, platform, os_version):
    """The manifest of base to build on.

    Args:
      ctx: the rule's context.
      base: (Target|None) an image or an index.
      platform: the platform to build for, with the fields os, architecture and variant.
      os_version: (str) of the system, or how it begins; empty takes any.

    Returns:
      ImageManifestInfo, or None without a base.
    """
    if not base:
        return None
    candidates = base[ImageIndexInfo].manifests if ImageIndexInfo in base else [base[ImageManifestInfo]]
    found = choose([c for c in candidates if _is_version(os_version, c)], platform)
    if not found:
        fail("{}: base: {} has nothing for {}: it has {}. Build for one of these (--platforms, or the attribute platform{}), or choose another base.".format(
            written(ctx.label),
            written(base.label),
            _with_version(platform, os_version),
            ", ".join([_with_version(c, _version(c)) for c in candidates]) or "no platform",
            " and os_version" if os_version else "",
        ))
    return found

def _version(manifest):
    return manifest.structured_config.get("os.version", "")

def _is_version(wanted, manifest):
    """Whether a manifest is for a version: 10.0.20348 is what 10.0.20348.2402 begins with, and 10.0.2 is not."""
    return not wanted or (_version(manifest) + ".").startswith(wanted + ".")

def _with_version(platform, version):
    return format_platform(platform) + (" " + version if version else "")

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
