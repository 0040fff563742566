"""Blobs out of Bazel's repository cache, or else out of a registry, below blobs/ of a repository.

Every blob that has a digest is looked for in Bazel's repository cache before anything is asked of a registry, and is put there when it had
to be fetched, whoever fetched it: a download without an URL finds what is cached, and one of a file:// URL caches what the tool has
brought. Bazel verifies the digest each time.
"""

visibility(["//img/private/repo", "//tests/..."])

# What manifests may be, for a registry to send them as they are.
_MANIFESTS = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
]

# Where the tool leaves what it has fetched, until it is cached.
_FETCHED = ".fetched"

def origin(ctx, *, name, registries, repository, downloader, tool):
    """Where blobs come from, and how.

    Args:
      ctx: a repository_ctx or module_ctx.
      name: (str) who asks, for messages.
      registries: (list of str) hosts, in the order to ask them.
      repository: (str) repository in each of them.
      downloader: (str) img_tool or bazel.
      tool: (Label) a file beside the img tool of the host.

    Returns:
      struct for the functions of this file.
    """
    return struct(
        ctx = ctx,
        name = name,
        registries = registries,
        repository = repository,
        downloader = downloader,
        tool = tool,
        grants = [],  # what _authorize() found, once it was asked
    )

def blob_path(digest):
    """The path of a blob in a repository, as in an OCI layout."""
    return "blobs/" + digest.replace(":", "/")

def check_digest(name, attribute, digest):
    """Fails unless digest is one.

    Args:
      name: (str) who asks, for messages.
      attribute: (str) which attribute it was given as.
      digest: (str) what was given.
    """
    if not is_digest(digest):
        fail("{}: {}: {} is no digest: want sha256: and 64 hexadecimal digits in lower case".format(name, attribute, repr(digest)))

def is_digest(digest):
    """Whether digest is one that this project knows."""
    hexa = digest.removeprefix("sha256:") if type(digest) == "string" else ""
    return hexa != digest and len(hexa) == 64 and not hexa.strip("0123456789abcdef")

def resolve(origin, tag):
    """Asks which digest a tag has, and fetches what belongs to it on the way.

    Args:
      origin: what origin() returned.
      tag: (str) a tag.

    Returns:
      (str) a digest.
    """
    return json.decode(_run_tool(origin, "pull", ["--out", str(origin.ctx.path(_FETCHED)), "--tag", tag]))["digest"]

def fetch_manifests(origin, digests):
    """Fetches manifests and indexes.

    Args:
      origin: what origin() returned.
      digests: (list of str) their digests.
    """
    _fetch(origin, "manifests", [struct(digest = d, size = None) for d in digests])

def fetch_blobs(origin, descriptors):
    """Fetches configs, layers and other blobs.

    Args:
      origin: what origin() returned.
      descriptors: (list of dict) their digests and, where they are known, sizes.
    """
    _fetch(origin, "blobs", [struct(digest = d["digest"], size = d.get("size")) for d in descriptors])

def finish(origin):
    """Cleans up, when everything is fetched.

    Args:
      origin: what origin() returned.
    """
    if hasattr(origin.ctx, "delete") and not origin.ctx.path(_FETCHED + "/keep").exists:
        origin.ctx.delete(_FETCHED)

def _fetch(origin, kind, wanted):
    for w in wanted:  # which an image may say, and which become paths
        check_digest(origin.name, "%s of %s" % (kind, origin.repository), w.digest)
    wanted = {w.digest: w for w in wanted}.values()
    missing = [w for w in wanted if not _is_there(origin.ctx, w.digest)]
    if not missing:
        return
    origin.ctx.report_progress("fetching %s of %s" % (kind, origin.repository))
    if origin.downloader == "bazel":
        _download(origin, kind, missing)
    else:
        _pull(origin, kind, missing)

def _is_there(ctx, digest):
    """Whether a blob is at its path; puts it there from what the tool has brought, or from the repository cache."""
    path = blob_path(digest)
    if ctx.path(path).exists or _keep(ctx, digest):
        return True
    return ctx.download(url = [], output = path, sha256 = _hex(digest), allow_fail = True).success

def _keep(ctx, digest):
    """Moves a blob that the tool has brought to its path and into the repository cache."""
    path = blob_path(digest)
    fetched = ctx.path(_FETCHED + "/" + path)
    if not fetched.exists:
        return False
    if ctx.download(url = _file_url(fetched), output = path, sha256 = _hex(digest), allow_fail = True).success:
        if hasattr(ctx, "delete"):  # a module_ctx can't, and its directory goes away anyway
            ctx.delete(fetched)
    elif hasattr(ctx, "symlink"):  # --downloader_config may forbid it: then it stays where it is
        ctx.file(_FETCHED + "/keep", "")
        ctx.symlink(fetched, path)
    else:
        ctx.file(path, ctx.read(fetched))
    return True

def _file_url(path):
    path = str(path).replace("%", "%25").replace(" ", "%20").replace("#", "%23").replace("?", "%3F")
    return "file://" + ("" if path.startswith("/") else "/") + path

def _hex(digest):
    return digest.split(":")[1]

def _pull(origin, kind, missing):
    """Fetches with the img tool."""
    args = ["--out", str(origin.ctx.path(_FETCHED))]
    for m in missing:
        if kind == "manifests":
            args += ["--digest", m.digest]
        else:
            args += ["--blob", m.digest if m.size == None else "%s,%d" % (m.digest, m.size)]
    _run_tool(origin, "pull", args)
    for m in missing:
        if not _keep(origin.ctx, m.digest):
            fail("{}: the img tool did not fetch {}".format(origin.name, m.digest))

def _run_tool(origin, verb, args):
    ctx = origin.ctx
    home = ctx.path(origin.tool).dirname
    tool = home.get_child("img.exe") if ctx.os.name.lower().startswith("windows") else home.get_child("img")
    for r in origin.registries:
        args = args + ["--registry", r]
    ran = ctx.execute([tool, verb, "--repository", origin.repository] + args, timeout = 24 * 60 * 60, quiet = True)
    if ran.return_code:
        fail("{}: {}".format(origin.name, ran.stderr.strip()))
    return ran.stdout

def _download(origin, kind, missing):
    """Fetches with Bazel's own downloader, which asks the registries in their order and shows as warnings what each said."""
    grants = _authorize(origin)
    good = [g for g in grants if "url" in g]
    downloads = [(m, _start_download(origin.ctx, kind, m.digest, good)) for m in missing if good]
    failed = [m.digest for m, d in downloads if not d.wait().success]
    if failed or not good:
        fail("{}: Bazel's downloader did not get {} of {}:{}".format(
            origin.name,
            ", ".join(failed or [m.digest for m in missing]),
            origin.repository,
            "".join(["\n  %s: %s" % (r or "Docker Hub", g.get("error", "see Bazel's warning above")) for r, g in zip(origin.registries, grants)]),
        ))

def _authorize(origin):
    """Asks the img tool how to talk to each registry: Bazel can neither get tokens from registries nor read Docker's config."""
    if not origin.grants:
        printed = _run_tool(origin, "authorize", [])
        origin.grants.extend([json.decode(line) for line in printed.strip().split("\n")])
    return origin.grants

def _start_download(ctx, kind, digest, grants):
    urls = ["%s/%s/%s" % (g["url"], kind, digest) for g in grants]
    return ctx.download(
        url = urls,
        allow_fail = True,
        auth = {
            url: {"login": "", "password": g["authorization"], "pattern": "<password>", "type": "pattern"}
            for url, g in zip(urls, grants)
            if g.get("authorization")
        },
        block = False,
        headers = {"Accept": ", ".join(_MANIFESTS) if kind == "manifests" else "*/*"},
        output = blob_path(digest),
        sha256 = _hex(digest),
    )
