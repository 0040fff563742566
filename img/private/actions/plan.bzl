"""The action ImgPlan: an image and where it goes become a plan; plans become one. The verb is `img plan`.

A plan names every blob of the image and where it is to be found: beside the plan, among the outputs of the build, in its caches, or in the
registries of the base.
"""

load("//img/private:image.bzl", "index_of", "layers_of", "manifests_of")
load("//img/private:request.bzl", "name_records", "plain_record", "record", "request")

visibility("//img/private/rules/...")

def plan_action(ctx, *, tool, image, pull, tag_file, templates, places, **operation):
    """Declares the action that plans one operation.

    Args:
      ctx: the rule's context.
      tool: (toolchain info) the img tool.
      image: (ImageManifestInfo|ImageIndexInfo) what is deployed.
      pull: (list of PullInfo) where missing blobs come from.
      tag_file: (File|None) more tags, one a line.
      templates: (struct|None) what template_data() returns; None when there is no template.
      places: (struct) what places_of() returns: where the blobs are that are at hand.
      **operation: the operation, by the names of internal/request/plan.go.

    Returns:
      File: the plan.
    """
    args = request(ctx, "plan", workspace = ctx.workspace_name, **(operation | (templates.header if templates else {})))
    manifests = manifests_of(image)
    record(args, "root", [index_of(image) or image.manifest])
    configs = {m.config: True for m in manifests}
    for file, place in places.metadata.items():
        record(args, "config" if file in configs else "manifest", [file], runfile = place)
    inputs = places.metadata.keys()
    layers = layers_of(image)
    for layer in layers:
        if layer.blob:
            record(args, "layer", [layer.metadata], **_where(layer.blob, places.layers))
    record(args, "layer", [layer.metadata for layer in layers if not layer.blob])
    inputs += [layer.metadata for layer in layers]
    for p in pull:
        plain_record(args, "base", registries = p.registries, repository = p.repository, digest = p.digest)
    inputs += name_records(args, tag_file, templates, manifests[0])
    return _run(ctx, tool, args, inputs)

def _where(blob, places):
    """Where a layer will be. The path of an output is the one that it has after the build, not one that is mapped for this action."""
    where = {"runfile": places[blob]} if blob in places else {}
    return where if blob.is_source else where | {"output": blob.path}

def merge_plans_action(ctx, *, tool, plans, push_strategy, load_strategy, caches):
    """Declares the action that makes one plan of many.

    Args:
      ctx: the rule's context.
      tool: (toolchain info) the img tool.
      plans: (list of File).
      push_strategy: (str) to use instead of the plans', or empty.
      load_strategy: (str) to use instead of the plans', or empty.
      caches: (dict) what caches() returns, for strategies that the plans were not made with.

    Returns:
      File: the plan.
    """
    args = request(
        ctx,
        "plan",
        workspace = ctx.workspace_name,
        push_strategy = push_strategy or None,
        load_strategy = load_strategy or None,
        **caches
    )
    record(args, "merge", plans)
    return _run(ctx, tool, args, plans)

def _run(ctx, tool, args, inputs):
    plan = ctx.actions.declare_file(ctx.label.name + ".plan.json")
    record(args, "plan", [plan])
    ctx.actions.run(
        executable = tool.tool_exe,
        arguments = ["plan", args],
        inputs = inputs,
        outputs = [plan],
        mnemonic = "ImgPlan",
        progress_message = "Planning %{label}",
        toolchain = Label("//img:toolchain_type"),
        execution_requirements = tool.execution_requirements,
    )
    return plan
