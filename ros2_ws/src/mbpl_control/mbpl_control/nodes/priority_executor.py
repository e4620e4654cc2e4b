"""An executor that answers a control loop's own messages first, and with little ado."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.executors import timeout_sec_to_nsec as nanoseconds
from rclpy.impl.implementation_singleton import rclpy_implementation as implementation
from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.timer import Timer


class PriorityExecutor(SingleThreadedExecutor):
    """A single-threaded executor with a fast lane for the subscriptions and timers a node lives by.

    rclpy's executor gathers all entities anew for each callback and wraps each callback in a task, which costs a
    control loop more than its own work. This one keeps its wait set as long as no entity comes or goes, and calls the
    entities that a node names in `priority` (subscriptions and timers; plain callbacks, no coroutines) straight from
    it. Everything else is served by rclpy's own executor as soon as it is ready.

    A node without `priority` is served as usual.
    """

    def __init__(self, **arguments: Any) -> None:
        """Begin without a wait set."""
        #: whether somebody asked to be served since the rest was last looked for
        self._woken = False
        #: whether an entity may have come or gone since the wait set was made
        self._stale = False
        super().__init__(**arguments)
        self._wait_set: Any = None
        self._held = ExitStack()
        self._entities: list[tuple[Any, Any]] = []
        self._waitables: list[Any] = []
        self._fast_subscriptions: dict[int, Subscription] = {}
        self._fast_timers: dict[int, Timer] = {}
        #: of the callback of each fast subscription: the message, or the message and what is known of its arrival
        self._arguments: dict[int, int] = {}
        #: what is not left to rclpy's own executor, by identity
        self._first: set[int] = set()

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for work; do all of the fast lane's that is there, and one piece of the rest."""
        if self._is_shutdown:
            return
        if self._stale:
            # rclpy's own wait may have taken the signal of an entity that came or went while the rest was served
            self._stale = False
            self._release()
        if self._wait_set is None:
            self._gather()
        wait_set = self._wait_set
        wait_set.clear_entities()
        try:
            for add, handle in self._entities:
                add(handle)
            for waitable in self._waitables:
                waitable.add_to_wait_set(wait_set)
        except InvalidHandle:
            # an entity was destroyed since the wait set was made
            self._release()
            return
        wait_set.wait(nanoseconds(timeout_sec))
        if self._is_shutdown:
            raise ShutdownException()
        if not self._context.ok():
            raise ExternalShutdownException()
        subscriptions = wait_set.get_ready_entities("subscription")
        timers = wait_set.get_ready_entities("timer")
        others = len(subscriptions) + len(timers)
        ready = set(subscriptions)
        for pointer, subscription in self._fast_subscriptions.items():
            if pointer in ready:
                others -= 1
                taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
                if taken is not None:
                    subscription.callback(*taken[: self._arguments[pointer]])
        for pointer in timers:
            timer = self._fast_timers.get(pointer)
            if timer is not None:
                others -= 1
                if timer.handle.is_timer_ready():
                    timer.handle.call_timer()
                    timer.callback()
        guards = len(wait_set.get_ready_entities("guard_condition"))
        if guards:
            # an entity came or went, or a callback of the rest ended
            self._release()
        if (
            others
            or guards
            or wait_set.get_ready_entities("service")
            or wait_set.get_ready_entities("client")
            or any(waitable.is_ready(wait_set) for waitable in self._waitables)
        ):
            self._serve_rest()

    def _serve_rest(self) -> None:
        """One piece of the rest, and all that follows from it without waiting.

        To rclpy a coroutine that waits for a thread is a piece of work each time, and what a callback leaves to be done
        wakes nobody once another piece was looked for. So this goes on until the same coroutines are left as before.
        """
        before: list[Any] | None = None
        while self._woken or self._left() != before:
            self._woken = False
            before = self._left()
            for _ in range(1 + len(before)):
                super().spin_once(timeout_sec=0.0)

    def _left(self) -> list[Any]:
        """The coroutines and callbacks that are not done."""
        return [task for task, *_ in self._tasks]

    def wake(self) -> None:
        """See rclpy's executor.

        A call that comes from another thread while the rest is served is kept here: rclpy's own wait, in which the
        rest is looked for, takes the signal and does not look at its coroutines again.
        """
        self._woken = self._stale = True
        super().wake()

    def can_execute(self, entity: Any) -> bool:
        """See rclpy's executor: what is served first is none of its business.

        While messages come faster than rclpy hands them out, the rest would never be done, and all of them take the
        slow way.
        """
        return id(entity) not in self._first and super().can_execute(entity)

    def create_task(self, callback: Any, *arguments: Any, **named: Any) -> Any:
        """See rclpy's executor; it counts as a `wake`."""
        task = super().create_task(callback, *arguments, **named)
        self._woken = True
        return task

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """See rclpy's executor."""
        ended = super().shutdown(timeout_sec)
        self._release()
        return ended

    def _release(self) -> None:
        self._held.close()
        self._entities, self._waitables, self._wait_set = [], [], None
        self._fast_subscriptions, self._fast_timers = {}, {}

    def _gather(self) -> None:
        """A wait set of everything there is, held so that no handle goes away while it is waited for."""
        kinds: dict[str, list[Any]] = {k: [] for k in ("subscription", "timer", "client", "service")}
        guards: list[Any] = [self._guard, self._sigint_gc]
        self._held = held = ExitStack()
        self._first = set()
        for node in self.get_nodes():
            there: set[int] = set()
            for kind, present in (
                ("subscription", node.subscriptions),
                ("timer", node.timers),
                ("client", node.clients),
                ("service", node.services),
            ):
                for entity in present:
                    if not self._hold(held, entity.handle):
                        continue
                    kinds[kind].append(entity.handle)
                    there.add(id(entity))
            for entity in getattr(node, "priority", ()):
                # one that was destroyed has no handle to ask
                if id(entity) not in there:
                    continue
                pointer = entity.handle.pointer
                self._first.add(id(entity))
                if isinstance(entity, Subscription):
                    self._fast_subscriptions[pointer] = entity
                    bare = entity._callback_type is Subscription.CallbackType.MessageOnly
                    self._arguments[pointer] = 1 if bare else 2
                elif isinstance(entity, Timer):
                    self._fast_timers[pointer] = entity
            guards += list(node.guards)
            self._waitables += [w for w in node.waitables if self._hold(held, w)]
        guard_handles = [g.handle for g in guards if g is not None and self._hold(held, g.handle)]
        events = subscriptions = waiting_guards = timers = clients = services = 0
        for waitable in self._waitables:
            count = waitable.get_num_entities()
            subscriptions += count.num_subscriptions
            waiting_guards += count.num_guard_conditions
            timers += count.num_timers
            clients += count.num_clients
            services += count.num_services
            events += count.num_events
        if self._context.handle is None:
            raise ExternalShutdownException()
        held.enter_context(self._context.handle)
        self._wait_set = wait_set = implementation.WaitSet(
            len(kinds["subscription"]) + subscriptions,
            len(guard_handles) + waiting_guards,
            len(kinds["timer"]) + timers,
            len(kinds["client"]) + clients,
            len(kinds["service"]) + services,
            events,
            self._context.handle,
        )
        for kind, handles in kinds.items():
            add = getattr(wait_set, f"add_{kind}")
            self._entities += [(add, handle) for handle in handles]
        self._entities += [(wait_set.add_guard_condition, handle) for handle in guard_handles]

    @staticmethod
    def _hold(held: ExitStack, handle: Any) -> bool:
        try:
            held.enter_context(handle)
        except InvalidHandle:
            return False
        return True


def node_priority(node: Node, *entities: Any) -> None:
    """Name the entities of `node` that its executor serves first, in this order."""
    node.priority = entities  # type: ignore[attr-defined]


def add_priority(node: Node, entity: Any) -> None:
    """Have the executor of `node` serve an entity first, after those that are named already."""
    node_priority(node, *getattr(node, "priority", ()), entity)


def drop_priority(node: Node, entity: Any) -> None:
    """Take that back, before the entity is destroyed."""
    node_priority(node, *(each for each in getattr(node, "priority", ()) if each is not entity))
