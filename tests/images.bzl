"""Images out of nothing but files, as bases for the tests of other rules."""

load("//img/private/rules:import.bzl", "imported_index", "imported_manifest")

def base(name, platforms, repository = "base"):
    """Declares an index as pull() lays one out.

    Args:
      name: (str) name of the index.
      platforms: (list of str) os/architecture[/variant][@os.version].
      repository: (str) where it was pulled from.
    """
    for p in platforms:
        path, _, version = p.partition("@")
        parts = path.split("/") + [""]
        imported_manifest(
            name = name + "-" + p,
            architecture = parts[1],
            config = "//tests:base/config.json",
            descriptor = "//tests:base/descriptor.json",
            layer_digests = ["00"],
            layer_media_types = ["application/vnd.oci.image.layer.v1.tar+gzip"],
            layers = ["//tests:base/layer.json"],
            manifest = "//tests:base/manifest.json",
            os = parts[0],
            platform = json.encode({"os.version": version} if version else {}),
            variant = parts[2],
        )
    imported_index(
        name = name,
        digest = "sha256:" + "1" * 64,
        index = "//tests:base/index.json",
        manifests = [name + "-" + p for p in platforms],
        registries = ["registry.example"],
        repository = repository,
        tag = "1",
    )
