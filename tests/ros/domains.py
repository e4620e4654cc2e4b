"""A domain of its own for each test module on the graph, and a client that joins it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from domain_coordinator import domain_id

from mbpl_control.nodes.client import GraphClient

# read when the first participant is made: see the file for why
PROFILES = Path(__file__).resolve().parents[1] / "fastdds.xml"
if Path(os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(PROFILES))) == PROFILES:
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SUBNET"


@pytest.fixture(scope="module")
def domain() -> Iterator[int]:
    """A ROS domain that no other test on this machine uses at the same time."""
    before = os.environ.get("ROS_DOMAIN_ID")
    with domain_id() as number:
        os.environ["ROS_DOMAIN_ID"] = str(number)
        yield number
    if before is None:
        del os.environ["ROS_DOMAIN_ID"]
    else:
        os.environ["ROS_DOMAIN_ID"] = before


@pytest.fixture(scope="module")
def client(domain: int) -> Iterator[GraphClient]:
    """A client in that domain."""
    with GraphClient(timeout=20.0) as graph:
        yield graph
