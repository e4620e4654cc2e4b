"""A process runs."""

from .running_process_event import RunningProcessEvent


class ProcessStarted(RunningProcessEvent):
    """A process runs."""

    name = "launch.events.process.ProcessStarted"
