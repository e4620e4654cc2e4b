"""Coroutines of a node whose executor hears nothing else, and threads that end at any moment."""

from __future__ import annotations

import subprocess
import sys

QUICK_WORK = """
import threading, time
import rclpy
from rclpy.node import Node
from mbpl_control.nodes.node_tools import in_thread
from mbpl_control.nodes.priority_executor import PriorityExecutor

rclpy.init()
node = Node("quiet", enable_rosout=False, start_parameter_services=False)
executor = PriorityExecutor()
executor.add_node(node)
done = threading.Event()
count = 0

async def work():
    global count
    for i in range(3000):
        # from nothing at all to about as long as the executor takes to look for work
        await in_thread(node, lambda: time.sleep(1e-6 * (i % 400)))
        count += 1
    done.set()

threading.Thread(target=executor.spin, daemon=True).start()
executor.create_task(work())
done.wait(40.0)
print(count, flush=True)
import os
os._exit(0)
"""


def test_work_in_a_thread_is_noticed_whenever_it_ends() -> None:
    script = [sys.executable, "-c", QUICK_WORK]
    done = subprocess.run(script, capture_output=True, text=True, timeout=90.0, check=False)
    assert done.stdout == "3000\n", done.stderr
