"""What the tests on the graph share: a domain of their own, and a client that joins it."""

from __future__ import annotations

from domains import client, domain

__all__ = ["client", "domain"]
