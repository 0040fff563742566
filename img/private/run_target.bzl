"""Targets that `bazel run` runs: the img tool itself under the target's name, beside a plan."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load(":image.bzl", "index_of", "layers_of", "manifests_of")
load(":providers.bzl", "DeployFilesInfo", "DeployToolInfo")
load(":settings.bzl", "setting")
load(":transitions.bzl", "tool_platform")

visibility("//img/private/rules/...")

# The attributes of every rule whose targets run.
RUN_ATTRS = {
    "deploy_tool": attr.label(
        cfg = tool_platform,
        default = "//img/deploy_tool",
        doc = "An `img_deploy_tool`: the img tool that `bazel run` of the target runs.",
        providers = [DeployToolInfo],
    ),
    "_docker_config_path": setting("docker_config_path"),
    "tool_cfg": attr.string(
        default = "host",
        values = ["host", "target"],
        doc = "Which machine runs the target: `host`, the one that runs Bazel, or `target`, the one that is built for, as when the target is `data` of a test.",
    ),
}

def auth_file(ctx):
    """Where credentials for registries are, by the setting docker_config_path.

    Args:
      ctx: the rule's context, with RUN_ATTRS.

    Returns:
      (str|None) the path.
    """
    return ctx.attr._docker_config_path[BuildSettingInfo].value or None

def run_target(ctx, plan, files):
    """The DefaultInfo of a target that carries out a plan.

    Args:
      ctx: the rule's context, with RUN_ATTRS.
      plan: (File) it finds beside itself, by its own name.
      files: (DeployFilesInfo) the blobs that the plan says are at hand.

    Returns:
      DefaultInfo. Its files are what a plain build tells the build event service of: the plan, where a push is left to that.
    """
    tool = ctx.attr.deploy_tool[0][DeployToolInfo].tool
    run = ctx.actions.declare_file(ctx.label.name + (".exe" if tool.extension == "exe" else ""))
    ctx.actions.symlink(output = run, target_file = tool, is_executable = True)
    return DefaultInfo(
        executable = run,
        files = depset([run, plan], transitive = [files.event_files]) if files.bes else depset([run]),
        runfiles = ctx.runfiles(files = [plan]).merge_all([files.metadata, files.push_layers, files.load_layers]),
    )

def places_of(ctx, image, at_hand):
    """Where the blobs of an image lie in the runfiles of a target.

    The outputs of one target for two platforms have the same short path, so each blob gets a place of its own.

    Args:
      ctx: the rule's context.
      image: (ImageManifestInfo|ImageIndexInfo) that is deployed.
      at_hand: (bool) whether its layers are among the files. Those that no action made are, always: they are on this machine and in no cache.

    Returns:
      struct(metadata, layers): each a dict of File → path in the main repository's runfiles directory.
    """
    below = "/".join([p for p in [ctx.label.repo_name, ctx.label.package, ctx.label.name + ".blobs"] if p])
    metadata = [f for m in manifests_of(image) for f in [m.manifest, m.config]] + ([index_of(image)] if index_of(image) else [])
    layers = [layer.blob for layer in layers_of(image) if layer.blob and (at_hand or layer.blob.is_source)]
    return struct(
        metadata = {f: "{}/{}-{}".format(below, i, f.basename) for i, f in enumerate(metadata)},
        layers = {f: "{}/layer-{}-{}".format(below, i, f.basename) for i, f in enumerate(layers)},
    )

def deploy_files(ctx, kind, places, bes = False):
    """The blobs that the plan of one operation says are at hand.

    Args:
      ctx: the rule's context.
      kind: (str) push or load.
      places: what places_of() returned.
      bes: (bool) whether it is left to the build event service.

    Returns:
      DeployFilesInfo.
    """
    sources = {file: place for file, place in places.layers.items() if file.is_source}
    layers = _runfiles(ctx, {file: place for file, place in places.layers.items() if not file.is_source})
    none = ctx.runfiles()
    return DeployFilesInfo(
        bes = bes,
        event_files = depset(places.metadata.keys() + sources.keys()),
        metadata = _runfiles(ctx, places.metadata | sources),
        push_layers = layers if kind == "push" else none,
        load_layers = layers if kind == "load" else none,
    )

def _runfiles(ctx, places):
    return ctx.runfiles(symlinks = {path: file for file, path in places.items()})
