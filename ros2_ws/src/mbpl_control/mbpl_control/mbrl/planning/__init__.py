"""Planners on a model, a robot's own or a learned one."""
