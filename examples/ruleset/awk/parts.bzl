"""image_parts: what an image is made of, by its providers."""

load("@rules_img//img:providers.bzl", "ImageIndexInfo", "ImageManifestInfo")

def _image_parts_impl(ctx):
    images = ctx.attr.image[ImageIndexInfo].manifests if ImageIndexInfo in ctx.attr.image else [ctx.attr.image[ImageManifestInfo]]
    layers = [layer for image in images for layer in image.layers]
    return [
        DefaultInfo(files = depset([image.descriptor for image in images])),
        OutputGroupInfo(
            # A layer of a base that was pulled by its metadata alone is no file.
            layers = depset([layer.blob for layer in layers if layer.blob]),
            metadata = depset([layer.metadata for layer in layers]),
        ),
    ]

image_parts = rule(
    implementation = _image_parts_impl,
    doc = "The descriptors of an image or an index, and in the output groups `layers` and `metadata` the blobs and descriptions of its layers.",
    attrs = {
        "image": attr.label(mandatory = True, providers = [[ImageManifestInfo], [ImageIndexInfo]]),
    },
)
