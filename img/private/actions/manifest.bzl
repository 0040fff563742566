"""The action ImgManifest: layer metadata in, config, manifest, descriptor and digest out. The verb is `img manifest`.

It sees no layer's bytes, so a change of the config costs nothing more.
"""

load("//img/private:request.bzl", "record", "request")

visibility("//img/private/rules/...")

def manifest_action(ctx, *, tool, platform, base, layers, templates, files, config):
    """Declares the action that makes the manifest of one platform.

    Args:
      ctx: the rule's context.
      tool: (toolchain info) the img tool.
      platform: (struct) os, architecture and variant of the image.
      base: (struct|None) manifest, config (File) and reference, digest (str, may be empty) of the base.
      layers: (list of LayerInfo) to put on top of the base.
      templates: (struct) what template_data() returns.
      files: (dict) type of record → File or None: annotations, config_fragment, created.
      config: (dict) the attributes of the config and the manifest, by the names of internal/request/manifest.go.

    Returns:
      struct(manifest, config, descriptor, digest): the Files it declared.
    """
    name = ctx.label.name
    out = struct(
        manifest = ctx.actions.declare_file(name + ".manifest.json"),
        config = ctx.actions.declare_file(name + ".config.json"),
        descriptor = ctx.actions.declare_file(name + ".descriptor.json"),
        digest = ctx.actions.declare_file(name + ".digest"),
    )
    args = request(
        ctx,
        "manifest",
        os = platform.os,
        architecture = platform.architecture,
        variant = platform.variant or None,
        base_name = base.reference or None if base else None,
        base_digest = base.digest or None if base else None,
        **(config | templates.header)
    )
    inputs = [layer.metadata for layer in layers]
    record(args, "layer", inputs)
    if base:
        record(args, "base_manifest", [base.manifest])
        record(args, "base_config", [base.config])
        inputs = inputs + [base.manifest, base.config]
    for type, file in files.items():
        if file:
            record(args, type, [file])
            inputs = inputs + [file]
    record(args, "status", templates.status)
    for type in ["manifest", "config", "descriptor", "digest"]:
        record(args, type, [getattr(out, type)])
    ctx.actions.run(
        executable = tool.tool_exe,
        arguments = ["manifest", args],
        inputs = inputs + templates.status,
        outputs = [out.manifest, out.config, out.descriptor, out.digest],
        mnemonic = "ImgManifest",
        progress_message = "Making manifest %{label}",
        toolchain = Label("//img:toolchain_type"),
        execution_requirements = tool.execution_requirements,
    )
    return out
