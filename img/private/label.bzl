"""Labels as people write them."""

visibility(["//img/private/...", "//tests/..."])

def written(label):
    """A label for messages, and for what an image says of itself: the same in every version of Bazel, whose canonical names of repositories differ.

    Args:
      label: (Label).

    Returns:
      (str) such as //pkg:name or @module//pkg:name.
    """
    return "{}//{}:{}".format(_repository(label.repo_name), label.package, label.name)

def _repository(canonical):
    """module~, module~version and module~~extension~name as they are called in a MODULE.bazel; newer Bazels have + for ~."""
    if not canonical:
        return ""
    parts = canonical.replace("+", "~").split("~")
    return "@" + (parts[-1] if len(parts) > 2 else parts[0])
