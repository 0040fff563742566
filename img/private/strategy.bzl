"""Which strategies of pushes and loads this version has."""

visibility("//img/private/rules/...")

def checked_strategy(ctx, attribute, strategy):
    """Fails for a strategy that this version does not have.

    Args:
      ctx: the rule's context.
      attribute: (str) that was set, or whose setting was.
      strategy: (str) to check.

    Returns:
      The strategy.
    """
    if strategy not in ["auto", "eager", "lazy", "bes"]:
        fail("{}: {}: {} is not available in this version of rules_img: use eager, lazy or bes".format(ctx.label, attribute, repr(strategy)))
    return strategy
