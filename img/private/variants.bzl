"""Constraint values for the variants of one architecture."""

load(":platforms.bzl", "VARIANTS")

visibility("//img/constraints/...")

def variants(architecture):
    """Declares a constraint value for each variant of the architecture.

    Args:
      architecture: (str) OCI architecture.
    """
    for v in VARIANTS[architecture]:
        native.constraint_value(
            name = v,
            constraint_setting = "//img/constraints:variant",
            visibility = ["//visibility:public"],
        )
    if architecture == "arm64":
        for major in ["v8", "v9"]:
            native.alias(name = major + ".0", actual = major, visibility = ["//visibility:public"])
