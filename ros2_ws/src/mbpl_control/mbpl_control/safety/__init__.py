"""Limits on commands and checks of laws."""

from mbpl_control.safety.limiter import CommandLimiter, Limits

__all__ = ["CommandLimiter", "Limits"]
