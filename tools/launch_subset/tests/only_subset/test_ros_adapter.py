"""The node of launch itself, ended while its thread is about to wait."""

from __future__ import annotations

import threading

from domain_coordinator import domain_id


def test_an_adapter_that_is_stopped_while_it_is_about_to_wait_ends_its_thread(monkeypatch):
    from launch_ros.ros_adapter import RosAdapter

    fallen = []
    monkeypatch.setattr(threading, "excepthook", fallen.append)
    with domain_id() as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        adapter = RosAdapter([])
        executor = adapter._executor
        whole, held, go = executor.get_nodes, threading.Event(), threading.Event()

        def slowly():
            if threading.current_thread() is adapter._thread:
                held.set()
                assert go.wait(60.0)
            return whole()

        monkeypatch.setattr(executor, "get_nodes", slowly)
        executor.create_task(lambda: None)  # wakes it, so that it comes by
        assert held.wait(60.0)
        stopping = threading.Thread(target=adapter.stop)
        stopping.start()
        assert adapter._ended.wait(60.0)
        go.set()
        stopping.join(60.0)
        assert not stopping.is_alive() and not adapter._thread.is_alive()
    assert not fallen
