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


LEAVING_TOPIC = """
import os, threading
import rclpy
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from std_msgs.msg import String
from mbpl_control.nodes.priority_executor import PriorityExecutor

rclpy.init()
node = Node("leaving", enable_rosout=False, start_parameter_services=False)
events = SubscriptionEventCallbacks(liveliness=lambda event: None)
subscriptions = [node.create_subscription(String, f"t{i}", print, 1, event_callbacks=events) for i in range(20)]
executor = PriorityExecutor()
executor.add_node(node)
done = threading.Event()

def leave():
    if subscriptions:
        node.destroy_subscription(subscriptions.pop())
    else:
        done.set()

node.create_timer(0.001, leave)

def spin():
    try:
        executor.spin()
    except Exception as error:
        print(repr(error), flush=True)

threading.Thread(target=spin, daemon=True).start()
done.wait(40.0)
print(len(subscriptions), flush=True)
os._exit(0)
"""


def test_a_topic_that_is_left_in_a_callback_is_not_waited_for_any_more() -> None:
    script = [sys.executable, "-c", LEAVING_TOPIC]
    done = subprocess.run(script, capture_output=True, text=True, timeout=90.0, check=False)
    assert done.stdout == "0\n", done.stderr


LOST_ENTITY = """
import os, rclpy
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from std_msgs.msg import String
from mbpl_control.nodes.priority_executor import PriorityExecutor

rclpy.init()
node = Node("loser", enable_rosout=False, start_parameter_services=False)
told = lambda event: None
taken = node.create_subscription(
    String, "some", told, 1, event_callbacks=SubscriptionEventCallbacks(liveliness=told)
)
given = node.create_publisher(String, "some", 1, event_callbacks=PublisherEventCallbacks(liveliness=told))
executor = PriorityExecutor()
executor.add_node(node)
lose = [lambda: node.destroy_subscription(taken), lambda: node.destroy_publisher(given)]
ticks = 0

def tick():
    global ticks
    ticks += 1
    if ticks in (3, 6):
        lose.pop()()
    if ticks == 10:
        print(ticks, flush=True)
        os._exit(0)

node.create_timer(0.01, tick)
executor.spin()
"""


def test_an_entity_with_events_that_is_destroyed_in_a_callback_does_not_end_the_executor() -> None:
    script = [sys.executable, "-c", LOST_ENTITY]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60.0, check=False)
    assert done.stdout == "10\n", done.stderr


BUSY_LANE = """
import os, sys, rclpy
from rclpy.node import Node
from mbpl_control.nodes.priority_executor import PriorityExecutor, add_priority

rclpy.init()
node = Node("busy", enable_rosout=False, start_parameter_services=False)
executor = PriorityExecutor()
executor.add_node(node)
ways = {"lane": 0, "rclpy": 0}
rest = 0

def often():
    frame = sys._getframe()
    while frame is not None and not frame.f_code.co_filename.endswith("rclpy/task.py"):
        frame = frame.f_back
    ways["lane" if frame is None else "rclpy"] += 1

def seldom():
    global rest
    rest += 1
    if rest == 20:
        print(ways["lane"] > 20, ways["rclpy"], flush=True)
        os._exit(0)

# always due again by the time it was served
add_priority(node, node.create_timer(1e-4, often))
node.create_timer(0.01, seldom)
executor.spin()
"""


def test_what_is_served_first_is_not_left_to_rclpy_while_the_rest_is_served() -> None:
    script = [sys.executable, "-c", BUSY_LANE]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60.0, check=False)
    assert done.stdout == "True 0\n", done.stdout + done.stderr
