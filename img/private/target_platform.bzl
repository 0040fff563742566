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
    return [TargetPlatformInfo(
        os = ctx.attr.os,
        architecture = ctx.attr.architecture,
        variant = ctx.attr.variant or ctx.attr.implied_variant,
    )]

_target_platform = rule(
    implementation = _target_platform_impl,
    doc = "Carries what select() found, so that rules can depend on it as on any provider.",
    attrs = {
        "architecture": attr.string(mandatory = True),
        "implied_variant": attr.string(doc = "What the CPU says, where no constraint of //img/constraints does."),
        "os": attr.string(mandatory = True),
        "variant": attr.string(),
    },
)

_NO_MATCH = "rules_img builds images for platforms whose {0} it knows, and the platform that is built for (--platforms, or the attribute platform) has none of them: give it one of the constraints @platforms//{1}:{{{2}}}"

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
        os = select(
            {"@platforms//os:" + c: os for os, c in OS.items()},
            no_match_error = _NO_MATCH.format("system", "os", ", ".join(OS.values())),
        ),
        architecture = select(
            {"@platforms//cpu:" + c: cpu for cpu, c in CPU.items()} | {"@platforms//cpu:aarch32": "arm"},
            no_match_error = _NO_MATCH.format("CPU", "cpu", ", ".join(CPU.values())),
        ),
        variant = select(variants),
        implied_variant = select({
            "@platforms//cpu:armv7": "v7",
            "//conditions:default": "",
        }),
        **kwargs
    )
