"""What settings do to the requests of actions, as tables."""

_SETTINGS = [
    "compress",
    "compression_jobs",
    "compression_level",
    "create_parent_directories",
    "credential_helper",
    "digest_function",
    "disk_cache",
    "docker_config_path",
    "estargz",
    "layer_tree_artifact_handling",
    "load_daemon",
    "load_strategy",
    "push_strategy",
    "remote_cache",
    "shallow_oci_layout",
    "stamp",
]

# By the names that rows use: settings, and options of Bazel.
_FLAGS = {name: "//img/settings:" + name for name in _SETTINGS} | {
    "--compilation_mode": "//command_line_option:compilation_mode",
    "--stamp": "//command_line_option:stamp",
}

_RequestsInfo = provider(
    doc = "The requests of a target.",
    fields = {"by_mnemonic": "(dict) mnemonic → list of struct(header, inputs)"},
)

def _requests_impl(target, _ctx):
    found = {}
    for action in target.actions:
        lines = [a for a in action.argv or [] if a.startswith("{\"")]
        if lines:
            inputs = [f.basename for f in action.inputs.to_list()]
            found.setdefault(action.mnemonic, []).append(struct(header = json.decode(lines[0]), env = action.env, inputs = inputs))
    return [_RequestsInfo(by_mnemonic = found)]

_requests = aspect(implementation = _requests_impl)

def _configured_impl(settings, attr):
    return dict(settings) | {_FLAGS[name]: value == "true" if name == "--stamp" else value for name, value in attr.flags.items()}

_configured = transition(
    implementation = _configured_impl,
    inputs = _FLAGS.values(),
    outputs = _FLAGS.values(),
)

_WrongInfo = provider(
    doc = "What is not as a row says.",
    fields = {"messages": "(list of str)"},
)

def _effect_impl(ctx):
    wrong = []
    requests = ctx.attr.target[0][_RequestsInfo].by_mnemonic.get(ctx.attr.mnemonic, [])
    if not requests:
        wrong.append("there is no action " + ctx.attr.mnemonic)
    for request in requests:
        for key, want in json.decode(ctx.attr.want).items():
            got = _look_up(request, key)
            if got != want:
                wrong.append("%s is %r: want %r" % (key, got, want))
    return [_WrongInfo(messages = ["with %s, %s" % (ctx.attr.flags, w) for w in wrong])]

def _look_up(request, key):
    if key == "sees the status":
        return [n in request.inputs for n in ["stable-status.txt", "volatile-status.txt"]] == [True, True]
    return request.header.get(key) if not key.startswith("$") else request.env.get(key[1:])

_effect = rule(
    implementation = _effect_impl,
    attrs = {
        "flags": attr.string_dict(),
        "mnemonic": attr.string(mandatory = True),
        "target": attr.label(mandatory = True, cfg = _configured, aspects = [_requests]),
        "want": attr.string(mandatory = True),
    },
)

def _effects_test_impl(ctx):
    wrong = [m for row in ctx.attr.rows for m in row[_WrongInfo].messages]
    test = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(test, "#!/bin/sh\ncat <<'EOF'\n%s\nEOF\nexit %d\n" % ("\n".join(wrong), 1 if wrong else 0), is_executable = True)
    return [DefaultInfo(executable = test)]

_effects_test = rule(
    implementation = _effects_test_impl,
    attrs = {"rows": attr.label_list(providers = [_WrongInfo])},
    test = True,
)

def effects_test(name, target, mnemonic, rows):
    """Tests what flags do to the requests of a target.

    Args:
      name: (str) of the test.
      target: (str) label of the target.
      mnemonic: (str) of the actions to look at.
      rows: (list of tuple) flags, by the names of settings or Bazel's options, and what each request then has: fields of its header, `$NAME`
        for its environment, and `sees the status`.
    """
    targets = []
    for n, (flags, want) in enumerate(rows):
        row = "%s.%d" % (name, n)
        targets.append(row)
        _effect(
            name = row,
            flags = flags,
            mnemonic = mnemonic,
            tags = ["manual"],
            target = target,
            want = json.encode(want),
        )
    _effects_test(name = name, size = "small", rows = targets)
