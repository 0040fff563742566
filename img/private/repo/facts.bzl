"""What an extension has learned from elsewhere, where Bazel keeps such facts in its lockfile: newer Bazels than 7 do."""

visibility(["//img/private/repo", "//tests/..."])

def learned(mctx):
    """The facts of the lockfile, and those that are found now.

    Args:
      mctx: the module_ctx.

    Returns:
      struct(get, all): get(key, find) returns a fact, which find() finds when it is not known; all is a dict of those that were asked for, to be kept.
    """
    known = getattr(mctx, "facts", {})
    all = {}

    def get(key, find):
        if key not in all:
            all[key] = known[key] if key in known else find()
        return all[key]

    return struct(get = get, all = all)
