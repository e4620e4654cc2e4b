"""A mistake of the user."""


class UsageError(Exception):
    """What the user asked for cannot be had; the message says why."""
