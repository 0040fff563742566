"""The action ImgBlob: a registry and a digest in, the blob out. The verb is `img blob`.

The one action that uses the network. It runs on the machine that runs Bazel, with that machine's tool: there are the user's credentials.
What it makes is verified by its digest, so any cache may keep it.
"""

load("//img/private:request.bzl", "record", "request")

visibility("//img/private/rules/...")

def blob_action(ctx, *, tool, registries, repository, digest, size, auth_file):
    """Declares the action that pulls one blob.

    Args:
      ctx: the rule's context.
      tool: (File) the img tool of the host.
      registries: (list of str) hosts, in the order to ask them.
      repository: (str) repository in each of them.
      digest: (str) of the blob.
      size: (int) of the blob.
      auth_file: (str) where credentials for registries are; empty: where the environment says, or where Docker and Podman keep them.

    Returns:
      struct(blob): the File it declared.
    """
    blob = ctx.actions.declare_file(ctx.label.name + ".blob")
    args = request(
        ctx,
        "blob",
        registries = registries,
        repository = repository,
        digest = digest,
        size = size,
    )
    record(args, "blob", [blob])
    ctx.actions.run(
        executable = tool,
        arguments = ["blob", args],
        outputs = [blob],
        mnemonic = "ImgBlob",
        progress_message = "Pulling %{label}",
        toolchain = None,
        # PATH for credential helpers, and what --action_env gives: REGISTRY_AUTH_FILE, SSL_CERT_FILE, HTTPS_PROXY.
        use_default_shell_env = True,
        env = {"REGISTRY_AUTH_FILE": auth_file} if auth_file else {},
        execution_requirements = {
            "no-remote-exec": "1",
            "requires-network": "1",
        },
    )
    return struct(blob = blob)
