"""Planners on dynamics that were learned."""
