"""Whether an image's files may be without the layers of a shallow base."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load(":settings.bzl", "setting")

visibility("//img/private/rules/...")

SHALLOW_ATTRS = {"_shallow_oci_layout": setting("shallow_oci_layout")}

def shallow_layouts(ctx):
    """Whether layers that are not here are left out of layouts, instead of failing them.

    Args:
      ctx: the rule's context, with SHALLOW_ATTRS.

    Returns:
      bool.
    """
    return ctx.attr._shallow_oci_layout[BuildSettingInfo].value == "i_know_what_i_am_doing"
