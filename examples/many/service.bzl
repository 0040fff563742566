"""service: an image and its push, the same way for each."""

load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("@rules_img//img:image.bzl", "image_manifest")
load("@rules_img//img:layer.bzl", "image_layer")
load("@rules_img//img:push.bzl", "image_push")

def service(name, port):
    """An image of the server with a configuration of its own.

    Makes the targets `name`, the image, and `name_push`.

    Args:
      name: (str) name of the service, and of its repository.
      port: (int) where it listens.
    """
    write_file(
        name = name + "_config",
        out = name + ".env",
        content = [
            "name=" + name,
            "port=%d" % port,
            "",
        ],
    )
    image_layer(
        name = name + "_config_layer",
        srcs = {"/etc/service.env": ":" + name + "_config"},
    )
    image_manifest(
        name = name,
        base = "@distroless//:shell",
        entrypoint = ["/app/serve"],
        labels = {"service": name},
        layers = [
            ":server",
            ":" + name + "_config_layer",
        ],
        platform = "@distroless//:linux",
    )
    image_push(
        name = name + "_push",
        image = ":" + name,
        registry = "registry.example.com",
        repository = "services/" + name,
        tag = "latest",
    )
