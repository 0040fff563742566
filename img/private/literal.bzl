"""Attributes whose full meaning this version does not build: they fail, they are never ignored."""

visibility("//img/private/rules/...")

def not_yet(ctx, attributes):
    """Fails when one of attributes is set.

    Args:
      ctx: the rule's context.
      attributes: (list of str) names of attributes.
    """
    for a in attributes:
        if getattr(ctx.attr, a):
            fail("{}: {}: is not available in this version of rules_img: leave it out".format(ctx.label, a))

def literal(ctx, attribute, text):
    """Checks that a text is no template.

    Args:
      ctx: the rule's context.
      attribute: (str) where the text stands.
      text: (str) to check.

    Returns:
      The text.
    """
    if "{{" in text:
        fail("{}: {}: {} is a template, and templates are not available in this version of rules_img: write the value".format(ctx.label, attribute, repr(text)))
    return text

def literals(ctx, attribute, values):
    """Checks that no value of a dict is a template.

    Args:
      ctx: the rule's context.
      attribute: (str) where the dict stands.
      values: (dict) of str.

    Returns:
      The dict.
    """
    for v in values.values():
        literal(ctx, attribute, v)
    return values
