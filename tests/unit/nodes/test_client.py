"""Leaving the graph while the thread that spins is at the worst place."""

from __future__ import annotations

import threading

import pytest
from domain_coordinator import domain_id

from mbpl_control.nodes.client import GraphClient


@pytest.mark.parametrize("moment", ["before it waits", "between two waits"])
def test_a_client_that_is_closed_while_it_is_about_to_wait_ends_its_thread(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fallen: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", fallen.append)
    with domain_id() as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        client = GraphClient()
        executor = client._executor
        name = "get_nodes" if moment == "before it waits" else "spin_once"
        whole, held, go = getattr(executor, name), threading.Event(), threading.Event()

        def slowly(*arguments: object) -> object:
            if threading.current_thread() is client._thread:
                held.set()
                assert go.wait(60.0)
            return whole(*arguments)

        monkeypatch.setattr(executor, name, slowly)
        executor.create_task(lambda: None)  # wakes it, so that it comes by
        assert held.wait(60.0)
        closing = threading.Thread(target=client.close)
        closing.start()
        assert client._ended.wait(60.0)
        go.set()
        closing.join(60.0)
        assert not closing.is_alive() and not client._thread.is_alive()
        assert not client.context.ok()
    assert not fallen
