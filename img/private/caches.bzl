"""Where a run target finds the layers that are not among its files: Bazel's caches, as the settings name them."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load(":label.bzl", "written")
load(":settings.bzl", "setting")

visibility("//img/private/rules/...")

CACHE_ATTRS = {
    "_credential_helper": setting("credential_helper"),
    "_disk_cache": setting("disk_cache"),
    "_remote_cache": setting("remote_cache"),
}

def caches(ctx, strategies):
    """The caches that a plan names.

    Args:
      ctx: the rule's context, with CACHE_ATTRS.
      strategies: (list of str) of the plan.

    Returns:
      dict: fields of the header of a plan's request; empty when no strategy reads from caches, or none is set.
    """
    if not [s for s in strategies if s in ["lazy", "cas_registry", "bes"]]:
        return {}
    fields = {
        "credential_helper": ctx.attr._credential_helper[BuildSettingInfo].value,
        "disk_cache": ctx.attr._disk_cache[BuildSettingInfo].value,
        "remote_cache": ctx.attr._remote_cache[BuildSettingInfo].value,
    }
    if "@" in fields["remote_cache"] and not fields["remote_cache"].startswith("unix:"):
        fail("{}: the setting remote_cache has a user or a password, which would become part of a build output: set $IMG_REAPI_ENDPOINT to that endpoint instead, or have a credential helper".format(written(ctx.label)))
    return {k: v for k, v in fields.items() if v}
