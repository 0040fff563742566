"""What templates see: values of build settings, and Bazel's workspace status."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load(":bazel_flag.bzl", "BazelFlagInfo")
load(":settings.bzl", "auto", "setting")

visibility(["//img/private/...", "//tests/..."])

# The attributes of every rule that has templates.
TEMPLATE_ATTRS = {
    "build_settings": attr.string_keyed_label_dict(
        doc = "Key → build setting (`string_flag`, `bool_flag`, `int_flag`, …) whose value templates see as `{{.key}}`.",
        providers = [BuildSettingInfo],
    ),
    "stamp": attr.string(
        default = "auto",
        values = ["auto", "enabled", "disabled"],
        doc = "Whether templates see the keys of the workspace status, when Bazel's `--stamp` is set. `auto` is the setting `stamp`. A stamped target is made again when a stable key changes.",
    ),
    "_bazel_stamp": attr.label(default = "//img/private:bazel_stamp", providers = [BazelFlagInfo]),
    "_stamp": setting("stamp"),
}

def is_template(texts):
    """Whether one of texts is a template.

    Args:
      texts: (list of str).

    Returns:
      bool.
    """
    for text in texts:
        if "{{" in text:
            return True
    return False

def template_data(ctx, wanted):
    """What the templates of a target see.

    Args:
      ctx: the rule's context, with TEMPLATE_ATTRS.
      wanted: (bool) whether there are templates. Without, an action has no input that could change for nothing.

    Returns:
      struct(header, status): fields of the request's header (dict), and the workspace status (list of File).
    """
    if not wanted:
        return struct(header = {}, status = [])
    header = {"settings": {key: target[BuildSettingInfo].value for key, target in ctx.attr.build_settings.items()} or None}
    if auto(ctx.attr.stamp, ctx.attr._stamp) == "disabled":
        return struct(header = dict(hint = "stamp is disabled, so there are no keys of the workspace status", **header), status = [])
    if not ctx.attr._bazel_stamp[BazelFlagInfo].enabled:
        return struct(header = dict(hint = "Bazel's --stamp is not set, so there are no keys of the workspace status", **header), status = [])
    return struct(header = header, status = [ctx.info_file, ctx.version_file])
