"""What the rules call a platform, and how it maps to Bazel's constraints and Go's names."""

visibility(["//img/...", "//tests/..."])

# OCI operating system → constraint of @platforms//os.
OS = {
    "android": "android",
    "darwin": "osx",
    "freebsd": "freebsd",
    "ios": "ios",
    "linux": "linux",
    "netbsd": "netbsd",
    "openbsd": "openbsd",
    "wasip1": "wasi",
    "windows": "windows",
}

# OCI architecture → constraint of @platforms//cpu.
CPU = {
    "386": "x86_32",
    "amd64": "x86_64",
    "arm": "armv7",
    "arm64": "aarch64",
    "mips64": "mips64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "wasm": "wasm32",
}

# OCI architecture → its variants, each a constraint value //img/constraints/<arch>:<variant>.
VARIANTS = {
    "amd64": ["v1", "v2", "v3", "v4"],
    "arm": ["v5", "v6", "v7", "v8"],
    "arm64": ["v8"] + ["v8.%d" % n for n in range(1, 10)] + ["v9"] + ["v9.%d" % n for n in range(1, 8)],
    "ppc64le": ["power8", "power9", "power10"],
    "riscv64": ["rva20u64", "rva22u64", "rva23u64"],
}

def format_platform(p):
    """Formats a platform for people.

    Args:
      p: anything with the fields os, architecture and variant.

    Returns:
      "os/architecture" or "os/architecture/variant".
    """
    return "/".join([p.os, p.architecture] + ([p.variant] if p.variant else []))

def choose(candidates, want):
    """Picks what runs best on a platform.

    internal/oci/choose.go states the rule, and also looks at the version of the system, which no constraint can name: whoever calls
    leaves out those of other versions, and of several the first is taken.

    Args:
      candidates: list of anything with the fields os, architecture and variant.
      want: the platform to run on, with the same fields.

    Returns:
      The first candidate of the best variant, or None.
    """
    for variant in _ladder(want.architecture, _normal(want.architecture, want.variant)):
        for c in candidates:
            if (c.os, c.architecture) == (want.os, want.architecture) and _normal(c.architecture, c.variant) == variant:
                return c
    return None

def _normal(architecture, variant):
    if architecture != "arm64":
        return variant
    return {"": "v8", "v8.0": "v8", "v9.0": "v9"}.get(variant, variant)

def _ladder(architecture, variant):
    """Lists the variants that a platform can run, best first."""
    if architecture == "amd64" and _level(variant, "v") != None:
        return _down("v", _level(variant, "v"), 1) + [""]
    if architecture == "arm" and _level(variant, "v") != None:
        return _down("v", _level(variant, "v"), 5)
    if architecture == "arm64":
        for major in ["v8", "v9"]:
            minor = 0 if variant == major else _level(variant, major + ".")
            if minor == None:
                continue
            steps = _down(major + ".", minor, 1) + [major]
            if major == "v9":
                steps += _down("v8.", min(minor + 5, 9), 1) + ["v8"]
            return steps
    return [variant]

def _level(variant, prefix):
    digits = variant.removeprefix(prefix)
    if digits == variant or len(digits) != 1 or not digits.isdigit():
        return None
    return int(digits)

def _down(prefix, start, stop):
    return [prefix + str(n) for n in range(start, stop - 1, -1)]
