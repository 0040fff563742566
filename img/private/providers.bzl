"""The data model: every provider of this ruleset, on one page.

All values are immutable. Sizes are bytes. Digests are "sha256:" and 64 hexadecimal digits.
"""

visibility(["//img/...", "//tests/..."])

LayerInfo = provider(
    doc = "One layer of an image.",
    fields = {
        "blob": "(File|None) the layer as it is stored in a registry; None when only its description is known (a shallow base)",
        "estargz": "(bool) whether the layer can be mounted lazily",
        "media_type": "(str) OCI media type of the blob",
        "metadata": "(File) JSON object with name, mediaType, digest, size, diff_id and annotations, as [the format](../formats/layer.md#the-description) has it",
    },
)

ImageManifestInfo = provider(
    doc = "An image for one platform.",
    fields = {
        "architecture": "(str) OCI architecture",
        "config": "(File) the image config blob",
        "descriptor": "(File) JSON OCI descriptor of the manifest, with its platform",
        "layers": "(list of LayerInfo) base first",
        "manifest": "(File) the manifest blob",
        "missing_blobs": "(list of str) hexadecimal digests of the layers whose bytes are not among the files",
        "os": "(str) OCI operating system",
        "pull": "(PullInfo|None) where the layers that are not among the files can be pulled from; may be absent",
        "structured_config": "(dict) what is known of the config at analysis: architecture, os, variant",
        "variant": "(str) OCI variant of the architecture, or empty",
    },
)

ImageIndexInfo = provider(
    doc = "One image for many platforms.",
    fields = {
        "index": "(File) the index blob",
        "manifests": "(list of ImageManifestInfo) in the order of the index",
    },
)

PullInfo = provider(
    doc = "Where an image, or the base of one, can be pulled from.",
    fields = {
        "digest": "(str) digest of the image that was pulled",
        "registries": "(list of str) hosts, in the order to try them: mirrors first, the registry itself last",
        "repository": "(str) repository in each of the registries",
        "tag": "(str|None) the tag that was asked for",
    },
)

DeployInfo = provider(
    doc = "Something that can be pushed or loaded.",
    fields = {
        "deploy_manifest": "(File) the plan: JSON, in a [format](../formats/plan.md) of its own",
        "image": "(ImageManifestInfo|ImageIndexInfo|None) what is deployed; None when it is more than one",
        "layer_hints": "(File|None) reserved for where layers may be found",
    },
)

DeployFilesInfo = provider(
    doc = "The files that a deploy_manifest needs, by what they are for, so that multi_deploy can leave layers out.",
    fields = {
        "bes": "(bool) whether a push is left to the build event service",
        "event_files": "(depset of File) what that service needs and may not find in a cache: manifests, configs, indexes, and layers that are source files",
        "load_layers": "(runfiles) the other layers of what is loaded",
        "metadata": "(runfiles) manifests, configs and indexes, and layers that are source files, which no cache has",
        "push_layers": "(runfiles) the other layers of what is pushed",
    },
)

DeployToolInfo = provider(
    doc = "The img binary that a run target becomes.",
    fields = {
        "tool": "(File) the executable",
    },
)
