"""awk_layer: a layer with a program in awk."""

load("@rules_img//img:layer.bzl", "image_layer")
load("@rules_img//img:providers.bzl", "LayerInfo")
load("//awk:binary.bzl", "AwkInfo")

AwkLayerInfo = provider(doc = "A layer with a program in awk.", fields = {"program": "(str) path of the program in the image"})

def _init(binary, path = "/app/main", srcs = {}, **kwargs):
    return dict(binary = binary, path = path, srcs = srcs | {path: binary}, **kwargs)

def _awk_layer_impl(ctx):
    return ctx.super() + [AwkLayerInfo(program = ctx.attr.path)]

# All attributes of image_layer are attributes of this rule, and what it provides, this rule provides.
awk_layer = rule(
    implementation = _awk_layer_impl,
    doc = "An image_layer with an awk_binary and its runfiles.",
    attrs = {
        "binary": attr.label(mandatory = True, providers = [AwkInfo]),
        "path": attr.string(doc = "Path of the program in the image."),
    },
    initializer = _init,
    parent = image_layer,
    provides = [AwkLayerInfo, LayerInfo],
)
