"""Limits on commands and checks of laws."""

from mbpl_control.safety.limiter import CommandLimiter
from mbpl_control.safety.limits import Limits

__all__ = ["CommandLimiter", "Limits"]
