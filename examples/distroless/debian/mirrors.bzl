"""Where packages come from."""

visibility(["//debian"])

def mirrors(rctx):
    """Finds addresses of Debian's archive.

    Args:
      rctx: context of a repository rule with the attribute `mirrors`.

    Returns:
      List of addresses: `$DEBIAN_MIRROR`, else the attribute's, else that of the machine's apt.
    """
    named = rctx.getenv("DEBIAN_MIRROR")
    if named:
        return [named]
    found = rctx.attr.mirrors or _of_apt(rctx)
    if not found:
        fail("%s: no mirror of Debian is known: set `mirrors` of debian.packages(), or $DEBIAN_MIRROR, to the address of one (what comes before `/pool/`)" % rctx.attr.package)
    return found

def _of_apt(rctx):
    folder = rctx.path("/etc/apt/sources.list.d")
    files = [rctx.path("/etc/apt/sources.list")] + (folder.readdir(watch = "no") if folder.exists else [])
    lines = [line for f in files if f.exists for line in rctx.read(f, watch = "no").split("\n")]
    words = [word.rstrip("/") for line in lines if not line.startswith("#") for word in line.split(" ")]
    return [w for w in words if w.startswith("http") and w.endswith("/debian")][:1]
