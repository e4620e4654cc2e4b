"""Something that happened."""


class Event:
    """Base of all events; event handlers match by class or by `name`."""

    name = "launch.Event"
