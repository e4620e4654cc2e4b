"""What the tests on the graph share."""

from joining import client, domain  # noqa: F401 - fixtures
