"""Labels as people write them."""

visibility(["//img/private/...", "//tests/..."])

def written(label):
    """A label for messages, and for what an image says of itself: the same in every version of Bazel, whose canonical names of repositories differ.

    Args:
      label: (Label).

    Returns:
      (str) such as //pkg:name or @module//pkg:name.
    """
    repository = "@" + apparent(label.repo_name) if label.repo_name else ""
    return "{}//{}:{}".format(repository, label.package, label.name)

def apparent(canonical):
    """What a MODULE.bazel calls the repository module~, module~version or module~~extension~name; newer Bazels have + for ~."""
    parts = canonical.replace("+", "~").split("~")
    return parts[-1] if len(parts) > 2 else parts[0]
