"""Limits, watchdogs, validation of laws and commands."""
