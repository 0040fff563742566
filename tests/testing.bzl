"""What the analysis tests of several rules need."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")

def _fails_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, ctx.attr.message)
    return analysistest.end(env)

# Passes when the target fails to analyse with a message that contains `message`.
fails_test = analysistest.make(
    _fails_impl,
    attrs = {"message": attr.string(mandatory = True)},
    expect_failure = True,
)

def action(env, mnemonic):
    """The one action of the target under test with a mnemonic.

    Args:
      env: what analysistest.begin() returned.
      mnemonic: (str) such as ImgLayer.

    Returns:
      Action.
    """
    found = [a for a in analysistest.target_actions(env) if a.mnemonic == mnemonic]
    asserts.equals(env, 1, len(found), "actions " + mnemonic)
    return found[0]

def names(files):
    """Base names, in order.

    Args:
      files: depset or list of File.

    Returns:
      list of str.
    """
    return [f.basename for f in (files.to_list() if type(files) == "depset" else files)]

def contains(env, item, items, message = ""):
    """Asserts that items has item.

    Args:
      env: what analysistest.begin() returned.
      item: anything.
      items: list.
      message: (str) what was looked at.
    """
    asserts.true(env, item in items, "%s %s: not in %s" % (message, item, items))

def runfiles_names(target):
    """Base names of a target's runfiles, and paths of those that its rule placed.

    Args:
      target: Target.

    Returns:
      list of str.
    """
    runfiles = target[DefaultInfo].default_runfiles
    return names(runfiles.files) + [e.path for e in runfiles.symlinks.to_list()]
