"""One package of Debian: fetched, and made a layer."""

load(":mirrors.bzl", "mirrors")

visibility(["//debian"])

def _package_impl(rctx):
    rctx.download(
        url = [mirror + "/" + rctx.attr.path for mirror in mirrors(rctx)],
        output = "package.deb",
        sha256 = rctx.attr.sha256,
    )
    rctx.extract("package.deb")
    added = _dpkg_status(rctx) | _certificates(rctx)
    for path, content in added.items():
        rctx.file("added/" + path, content, executable = False)
    _write_tar(rctx, added.keys())
    rctx.file("BUILD.bazel", _BUILD.format(package = rctx.attr.package))

_BUILD = """load("@rules_img//img:layer.bzl", "layer_from_tar")

layer_from_tar(
    name = "layer",
    src = "{package}.tar",
    compress = "gzip",
    visibility = ["//visibility:public"],
)
"""

def _member(rctx, name):
    """The archive in the package of that name, however it is compressed."""
    return [f for f in rctx.path(".").readdir() if f.basename.startswith(name + ".tar")][0]

def _dpkg_status(rctx):
    """What dpkg would know of the package, where scanners look for it in images without dpkg's database."""
    rctx.extract(_member(rctx, "control"), output = "control")
    known = {"": "control/control", ".md5sums": "control/md5sums"}
    return {
        "var/lib/dpkg/status.d/" + rctx.attr.package + end: rctx.read(file)
        for end, file in known.items()
        if rctx.path(file).exists
    }

def _certificates(rctx):
    """The bundle that TLS libraries read, which a script of ca-certificates makes of its single files."""
    if rctx.attr.package != "ca-certificates":
        return {}
    rctx.extract(_member(rctx, "data"), output = "data")
    files = rctx.path("data/usr/share/ca-certificates/mozilla").readdir()
    certificates = {f.basename: rctx.read(f) for f in files}
    return {"etc/ssl/certs/ca-certificates.crt": "".join([certificates[name] for name in sorted(certificates)])}

def _write_tar(rctx, added):
    """Writes the package's files and the added ones as a tar. Owners, modes and links stay as Debian has them."""
    tar = rctx.attr.package + ".tar"
    if rctx.which("dpkg-deb"):
        script = "dpkg-deb --fsys-tarfile package.deb > \"$0\" && tar -rf \"$0\" -C added --owner=root:0 --group=root:0 --mode=0644 --mtime=@0 \"$@\""
        return _run(rctx, ["sh", "-c", script, tar] + added)
    bsdtar = rctx.which("bsdtar") or rctx.which("tar")  # that of macOS and Windows is it
    rctx.file("added.mtree", "#mtree\n" + "".join([_MTREE % (path, path) for path in added]))
    return _run(rctx, [bsdtar, "-cf", tar, "@" + _member(rctx, "data").basename, "@added.mtree"])

_MTREE = "./%s type=file uid=0 gid=0 uname=root gname=root mode=0644 time=0 contents=added/%s\n"

def _run(rctx, command):
    done = rctx.execute(command)
    if done.return_code:
        fail("{}: {} fails; dpkg-deb or bsdtar is needed to read packages:\n{}".format(rctx.attr.package, command[0], done.stderr))

package = repository_rule(
    implementation = _package_impl,
    doc = "A package of Debian as the layer `:layer`.",
    attrs = {
        "mirrors": attr.string_list(),
        "package": attr.string(mandatory = True),
        "path": attr.string(mandatory = True, doc = "Path in Debian's archive."),
        "sha256": attr.string(mandatory = True),
    },
)
