"""A substitution without a value."""


class SubstitutionFailure(RuntimeError):
    """The text of a substitution cannot be had."""
