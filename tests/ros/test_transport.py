"""What the tests rest on."""

from __future__ import annotations

from pathlib import Path

from mbpl_control.nodes.client import GraphClient


def test_the_tests_talk_without_shared_memory(client: GraphClient) -> None:
    assert client.context.ok()
    assert "/dev/shm/fastrtps" not in Path("/proc/self/maps").read_text()
