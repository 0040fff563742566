"""The platform of the configuration, as the OCI specification names it."""

load(":platforms.bzl", "CPU", "OS", "VARIANTS")

visibility(["//img/...", "//tests/..."])

TargetPlatformInfo = provider(
    doc = "What the current configuration builds for.",
    fields = {
        "architecture": "(str) OCI architecture, such as amd64",
        "os": "(str) OCI operating system, such as linux",
        "variant": "(str) OCI variant, such as v7; empty when the platform says none",
    },
)

def _target_platform_impl(ctx):
    return [TargetPlatformInfo(os = ctx.attr.os, architecture = ctx.attr.architecture, variant = ctx.attr.variant)]

_target_platform = rule(
    implementation = _target_platform_impl,
    doc = "Carries what select() found, so that rules can depend on it as on any provider.",
    attrs = {
        "architecture": attr.string(mandatory = True),
        "os": attr.string(mandatory = True),
        "variant": attr.string(),
    },
)

def target_platform(name, **kwargs):
    """Declares the target that every rule asks for the platform it builds for.

    Args:
      name: (str) name of the target.
      **kwargs: passed on, such as visibility.
    """
    variants = {"//conditions:default": ""}
    for arch, names in VARIANTS.items():
        for v in names:
            variants["//img/constraints/%s:%s" % (arch, v)] = v
    _target_platform(
        name = name,
        os = select({"@platforms//os:" + c: os for os, c in OS.items()}),
        architecture = select({"@platforms//cpu:" + c: cpu for cpu, c in CPU.items()}),
        variant = select(variants),
        **kwargs
    )
