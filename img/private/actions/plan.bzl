"""The action ImgPlan: an image and where it goes become a plan. The verb is `img plan`.

A plan names every blob of the image and where it is to be found: beside the plan, or in the registries of the base.
"""

load("//img/private:request.bzl", "blob_records", "layer_records", "plain_record", "record", "request")

visibility("//img/private/rules/...")

def plan_action(ctx, *, tool, image, pull, **operation):
    """Declares the action that makes a plan.

    Args:
      ctx: the rule's context.
      tool: (toolchain info) the img tool.
      image: (ImageManifestInfo|ImageIndexInfo) what is deployed.
      pull: (list of PullInfo) where missing blobs come from.
      **operation: the operation, by the names of internal/request/plan.go.

    Returns:
      struct(plan, blobs): the plan, and the list of Files that deploying it reads.
    """
    plan = ctx.actions.declare_file(ctx.label.name + ".plan.json")
    manifests = image.manifests if hasattr(image, "manifests") else [image]
    small = [m.manifest for m in manifests] + [m.config for m in manifests]
    if hasattr(image, "index"):
        small.append(image.index)
    layers = [layer for m in manifests for layer in m.layers]
    args = request(ctx, "plan", name = str(ctx.label), workspace = ctx.workspace_name, **operation)
    record(args, "root", [image.index if hasattr(image, "index") else image.manifest])
    blob_records(args, small)
    layer_records(args, layers)
    for p in pull:
        plain_record(args, "base", registries = p.registries, repository = p.repository, digest = p.digest)
    record(args, "plan", [plan])
    ctx.actions.run(
        executable = tool.tool_exe,
        arguments = ["plan", args],
        inputs = small + [layer.metadata for layer in layers],
        outputs = [plan],
        mnemonic = "ImgPlan",
        progress_message = "Planning %{label}",
        toolchain = "//img:toolchain_type",
        execution_requirements = {"supports-path-mapping": "1"},
    )
    return struct(plan = plan, blobs = small + [layer.blob for layer in layers if layer.blob])
