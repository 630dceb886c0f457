"""The only error class of this library."""


class StemError(ValueError):
    """A request that cannot be met, or a claim that the probe refuted.

    The message is one paragraph: what is wrong, what was expected, what was given, what to do.
    """
