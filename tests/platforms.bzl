"""A platform for every system, CPU and variant that images can be for."""

load("//img/private:platforms.bzl", "CPU", "OS", "VARIANTS")

def every_platform():
    """What platforms() declares.

    Returns:
      dict of target name → platform as the OCI specification writes it.
    """
    all = {}
    for os in OS:
        all["every_" + os] = os + "/amd64"
    for cpu in CPU:
        all["every_linux_" + cpu] = "linux/" + cpu
        for v in VARIANTS.get(cpu, []):
            all["every_linux_{}_{}".format(cpu, v)] = "linux/{}/{}".format(cpu, v)
    all.pop("every_linux_amd64")  # as every_linux
    all.pop("every_linux_arm")  # as every_linux_arm_v7, which armv7 says
    return all

def platforms():
    """Declares a platform for each of every_platform()."""
    for name, platform in every_platform().items():
        os, cpu, variant = (platform.split("/") + [""])[:3]
        native.platform(
            name = name,
            constraint_values = [
                "@platforms//os:" + OS[os],
                "@platforms//cpu:" + CPU[cpu],
            ] + (["//img/constraints/{}:{}".format(cpu, variant)] if variant else []),
            visibility = ["//tests:__subpackages__"],
        )
