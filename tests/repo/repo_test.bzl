"""Unit tests of the helpers of repository rules and extensions."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load("//img/private/repo:facts.bzl", "learned")
load("//img/private/repo:fetch.bzl", "is_digest")
load("//img/private/repo:image.bzl", "read_image")
load("//img/private/repo:lockfile.bzl", "parse_lockfile", "urls_of")

def _learned_test_impl(ctx):
    env = unittest.begin(ctx)
    asked = []

    def find():
        asked.append(1)
        return ["found"]

    for mctx, answer, times in [
        (struct(), ["found"], 1),  # a Bazel without facts
        (struct(facts = {}), ["found"], 1),
        (struct(facts = {"key": ["known"], "stale": []}), ["known"], 0),
    ]:
        asked.clear()
        facts = learned(mctx)
        asserts.equals(env, answer, facts.get("key", find))
        asserts.equals(env, answer, facts.get("key", find), "the second time")
        asserts.equals(env, times, len(asked), "times that a fact was looked for")
        asserts.equals(env, {"key": answer}, facts.all)
    return unittest.end(env)

learned_test = unittest.make(_learned_test_impl)

def _digests_test_impl(ctx):
    env = unittest.begin(ctx)
    asserts.true(env, is_digest("sha256:" + "0a" * 32))
    for wrong in ["", "0a" * 32, "sha256:" + "0a" * 31, "sha256:" + "0A" * 32, "sha512:" + "0a" * 64, "sha256:" + "0a" * 31 + "/."]:
        asserts.false(env, is_digest(wrong), wrong)
    return unittest.end(env)

digests_test = unittest.make(_digests_test_impl)

_ENTRY = {
    "cpu": "amd64",
    "integrity": "sha256-" + "A" * 43 + "=",
    "os": "windows",
    "url_templates": ["https://example.com/v{version}/img_{os}_{cpu}{extension}", "file:///mirror/img"],
    "version": "1.2.3",
}

def _lockfile_test_impl(ctx):
    env = unittest.begin(ctx)
    entries, problem = parse_lockfile(json.encode([_ENTRY, _ENTRY | {"os": "linux"}, _ENTRY | {"tool": "registry"}]))
    asserts.equals(env, None, problem)
    asserts.equals(env, 3, len(entries))
    asserts.equals(env, ["https://example.com/v1.2.3/img_windows_amd64.exe", "file:///mirror/img"], urls_of(entries[0]))
    asserts.equals(env, "https://example.com/v1.2.3/img_linux_amd64", urls_of(entries[1])[0])
    asserts.equals(env, ([], None), parse_lockfile("[]"))
    return unittest.end(env)

lockfile_test = unittest.make(_lockfile_test_impl)

def _bad_lockfile_test_impl(ctx):
    env = unittest.begin(ctx)
    for entry, want in [
        ("linux", "entry 2: is \"linux\": want an object"),
        (_ENTRY, "entry 2: is another one of img for windows/amd64, after entry 1"),
        (_ENTRY | {"sha256": ""}, "entry 2: sha256: unknown field: want version, integrity, os, cpu, url_templates, tool"),
        (_ENTRY | {"os": "macos"}, "entry 2: os: is \"macos\": want one of android, darwin, "),
        (_ENTRY | {"cpu": ["arm64"]}, "entry 2: cpu: is [\"arm64\"]: want one of 386, amd64, arm, arm64, "),
        (_ENTRY | {"tool": "pull_tool"}, "entry 2: tool: is \"pull_tool\": want one of img, registry, bes"),
        (_ENTRY | {"version": ""}, "entry 2: version: is \"\": want a version"),
        (_ENTRY | {"integrity": "0a" * 32}, "entry 2: integrity: is \"0a0a"),
        (_ENTRY | {"integrity": "sha256-" + "A" * 64}, "want sha256-, sha384- or sha512- and a digest in base64"),
        (_ENTRY | {"integrity": "sha256-" + "_" * 43 + "="}, "want sha256-, sha384- or sha512- and a digest in base64"),
        (_ENTRY | {"url_templates": []}, "entry 2: url_templates: is []: want a list of URLs"),
        (_ENTRY | {"url_templates": ["bin/img"]}, "\"bin/img\" is no URL"),
        (_ENTRY | {"url_templates": ["https://example.com/{arch}"]}, "https://example.com/{arch} has a placeholder that is none of {version} {os} {cpu} {extension}"),
        ({k: v for k, v in _ENTRY.items() if k != "integrity"}, "entry 2: integrity: is missing"),
    ]:
        _, problem = parse_lockfile(json.encode([_ENTRY, entry]))
        asserts.true(env, want in (problem or ""), "%s is not in %s" % (want, problem))
    for text in ["", "{", "{}", "null"]:
        asserts.equals(env, (None, "want a JSON list of entries"), parse_lockfile(text))
    return unittest.end(env)

bad_lockfile_test = unittest.make(_bad_lockfile_test_impl)

_DIGEST = "sha256:" + "0a" * 32
_SECRET = "../" * 20 + "home/ann/.docker/config.json"

def _hostile_image_impl(ctx):
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": _DIGEST.replace("0", "1"), "size": 2}
    manifest = json.decode(ctx.attr.manifest.replace("SECRET", "sha256:" + _SECRET))
    files = {_DIGEST: {"config": config} | manifest, config["digest"]: {"rootfs": {"diff_ids": [_DIGEST]}}}
    read_image(
        struct(
            name = "@app",
            repository = "team/app",
            downloader = "img_tool",
            ctx = struct(
                path = lambda path: struct(exists = True),
                read = lambda path: json.encode(files.get(path.removeprefix("blobs/").replace("/", ":"), {"auths": {}})),
            ),
        ),
        _DIGEST,
    )

# What a repository rule does with an image whose manifest says more than a manifest should; every file is there.
hostile_image = rule(_hostile_image_impl, attrs = {"manifest": attr.string()})
