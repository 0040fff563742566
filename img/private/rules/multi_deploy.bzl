"""multi_deploy: many pushes and loads as one run target."""

load("//img/private:caches.bzl", "CACHE_ATTRS", "caches")
load("//img/private:providers.bzl", "DeployFilesInfo", "DeployInfo")
load("//img/private:run_target.bzl", "RUN_ATTRS", "run_target")
load("//img/private/actions:plan.bzl", "merge_plans_action")

visibility("//img")

def _multi_deploy_impl(ctx):
    plan = merge_plans_action(
        ctx,
        tool = ctx.toolchains["//img:toolchain_type"],
        plans = [t[DeployInfo].deploy_manifest for t in ctx.attr.operations],
        push_strategy = "" if ctx.attr.push_strategy == "auto" else ctx.attr.push_strategy,
        load_strategy = "" if ctx.attr.load_strategy == "auto" else ctx.attr.load_strategy,
        caches = caches(ctx, [ctx.attr.push_strategy, ctx.attr.load_strategy]),
    )
    of_each = [_files_of(t, none = ctx.runfiles()) for t in ctx.attr.operations]
    files = DeployFilesInfo(
        bes = ctx.attr.push_strategy == "bes" or ctx.attr.push_strategy == "auto" and any([f.bes for f in of_each]),
        event_files = depset(transitive = [f.event_files for f in of_each]),
        metadata = ctx.runfiles().merge_all([f.metadata for f in of_each]),
        push_layers = ctx.runfiles().merge_all([f.push_layers for f in of_each] if _at_hand(ctx.attr.push_strategy) else []),
        load_layers = ctx.runfiles().merge_all([f.load_layers for f in of_each] if _at_hand(ctx.attr.load_strategy) else []),
    )
    return [
        run_target(ctx, plan, files),
        OutputGroupInfo(deploy_manifest = depset([plan])),
        DeployInfo(image = None, deploy_manifest = plan, layer_hints = None),
        files,
    ]

def _files_of(target, none):
    """The files of an operation; of a rule that passes on DeployInfo alone, all that it runs with."""
    if DeployFilesInfo in target:
        return target[DeployFilesInfo]
    return DeployFilesInfo(bes = False, event_files = depset(), metadata = target[DefaultInfo].default_runfiles, push_layers = none, load_layers = none)

def _at_hand(strategy):
    return strategy in ["auto", "eager"]

multi_deploy = rule(
    implementation = _multi_deploy_impl,
    doc = """Pushes and loads many images in one run: `bazel run //:deploy`.

All operations run at once; a blob goes to each registry once. One that fails does not stop the others: the exit status and the last lines of stderr say which failed.

Output group: `deploy_manifest` (the plan).
""",
    attrs = CACHE_ATTRS | RUN_ATTRS | {
        "load_strategy": attr.string(
            default = "auto",
            values = ["auto", "eager", "lazy"],
            doc = "Strategy of all loads. `auto` leaves each its own. A load that was made `lazy` can't become `eager`: set that in the load itself.",
        ),
        "operations": attr.label_list(
            doc = "Targets that push or load: `image_push`, `image_load`, `multi_deploy`.",
            mandatory = True,
            providers = [DeployInfo],
        ),
        "push_strategy": attr.string(
            default = "auto",
            values = ["auto", "eager", "lazy", "cas_registry", "bes"],
            doc = "Strategy of all pushes. `auto` leaves each its own. A push that was made otherwise can't become `eager`: set that in the push itself.",
        ),
    },
    executable = True,
    provides = [DeployInfo],
    toolchains = ["//img:toolchain_type"],
)
