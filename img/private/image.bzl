"""What an image is made of, whether it is for one platform or for many."""

visibility("//img/private/...")

def index_of(image):
    """The index of an image.

    Args:
      image: (ImageManifestInfo|ImageIndexInfo).

    Returns:
      File, or None for an image for one platform.
    """
    return getattr(image, "index", None)

def manifests_of(image):
    """The images for one platform that an image is made of.

    Args:
      image: (ImageManifestInfo|ImageIndexInfo).

    Returns:
      list of ImageManifestInfo.
    """
    return image.manifests if index_of(image) else [image]

def layers_of(image):
    """The layers of an image, each once.

    Args:
      image: (ImageManifestInfo|ImageIndexInfo).

    Returns:
      list of LayerInfo.
    """
    return {layer.metadata: layer for m in manifests_of(image) for layer in m.layers}.values()
