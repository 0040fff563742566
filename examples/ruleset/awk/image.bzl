"""awk_image: a program in awk, its interpreter and a base."""

load("@rules_img//img:image.bzl", "image_manifest")
load("//awk:layer.bzl", "awk_layer")

def awk_image(name, binary, base, **kwargs):
    """An image that runs an awk_binary.

    Makes the targets `name`, the image, and `name_layer`.

    Args:
      name: (str) name of the image.
      binary: (label) an awk_binary.
      base: (label) an image with a C library, to put the interpreter on.
      **kwargs: what image_manifest takes too.
    """
    awk_layer(
        name = name + "_layer",
        binary = binary,
        path = "/app/main",
    )
    image_manifest(
        name = name,
        base = base,
        entrypoint = ["/app/main"],
        layers = [
            Label("@debian//:mawk"),
            ":" + name + "_layer",
        ],
        working_dir = "/app/main.runfiles/_main",
        **kwargs
    )
