"""How an attribute and the flag of the same purpose meet: the attribute wins unless it is "auto"."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")

visibility(["//img/private/..."])

def setting(name):
    """A private attribute that reads the flag //img/settings:NAME.

    Args:
      name: (str) name of the setting.

    Returns:
      An attr.label.
    """
    return attr.label(default = "//img/settings:" + name, providers = [BuildSettingInfo])

def auto(attribute, target):
    """Resolves an attribute that may be "auto".

    Args:
      attribute: (str) what the BUILD file says.
      target: (Target) of setting().

    Returns:
      The attribute's value, or the setting's when it is "auto".
    """
    return attribute if attribute != "auto" else target[BuildSettingInfo].value
