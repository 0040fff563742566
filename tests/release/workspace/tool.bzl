"""The test writes which tool it wants."""

def register(toolchains):
    """Registers the img tool.

    Args:
      toolchains: img_register_prebuilt_toolchains().
    """
    toolchains()
