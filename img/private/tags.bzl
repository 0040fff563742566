"""The attributes by which images get names."""

load(":label.bzl", "written")

visibility("//img/private/rules/...")

TAG_ATTRS = {
    "tag": attr.string(
        doc = "Tag to set, such as `latest`, or of a load the whole name that the image gets, such as `team/app:latest`; a template. One that expands to nothing is left out.",
    ),
    "tag_file": attr.label(
        allow_single_file = True,
        doc = "File with a tag, or name, on each line, added to the others; each is a template.",
    ),
    "tag_list": attr.string_list(
        doc = "Tags to set, or names, instead of `tag`; each is a template.",
    ),
}

def tags_of(ctx):
    """The tags of a target with TAG_ATTRS, without those of tag_file.

    Args:
      ctx: the rule's context.

    Returns:
      list of str.
    """
    if ctx.attr.tag and ctx.attr.tag_list:
        fail("{}: tag and tag_list are both set: use one".format(written(ctx.label)))
    return [ctx.attr.tag] if ctx.attr.tag else ctx.attr.tag_list
