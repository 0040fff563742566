"""Transitions between platforms."""

visibility("//img/private/rules/...")

_PLATFORMS = "//command_line_option:platforms"
_HOST_PLATFORM = "//command_line_option:host_platform"

def _one_platform_impl(settings, attr):
    return {_PLATFORMS: [str(attr.platform)] if attr.platform else settings[_PLATFORMS]}

# Builds a target for its attribute `platform`, if it has one.
one_platform = transition(
    implementation = _one_platform_impl,
    inputs = [_PLATFORMS],
    outputs = [_PLATFORMS],
)

def _each_platform_impl(settings, attr):
    if not attr.platforms:
        return {"": {_PLATFORMS: settings[_PLATFORMS]}}

    # By position: a platform may be named through an alias, and order matters.
    return {str(i): {_PLATFORMS: [str(p)]} for i, p in enumerate(attr.platforms)}

# Builds a dependency for each of the attribute `platforms`, or as it is when there is none.
each_platform = transition(
    implementation = _each_platform_impl,
    inputs = [_PLATFORMS],
    outputs = [_PLATFORMS],
)

def _tool_platform_impl(settings, attr):
    return {_PLATFORMS: settings[_PLATFORMS] if attr.tool_cfg == "target" else [str(settings[_HOST_PLATFORM])]}

# Builds the tool that a run target becomes for the machine that the attribute `tool_cfg` says.
tool_platform = transition(
    implementation = _tool_platform_impl,
    inputs = [_PLATFORMS, _HOST_PLATFORM],
    outputs = [_PLATFORMS],
)
