"""Lifecycle nodes, driven by a launch file over ROS."""

from __future__ import annotations

SETUP = """
def change(transition, node):
    return EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition))

def machine(name, **options):
    return LifecycleNode(package="probe", executable="machine", name=name, output="screen", **options)

one = machine("one", namespace="")
"""


def test_a_node_is_configured_and_activated_by_events_and_tells_its_states(lifecycle_node):
    result = lifecycle_node.launch(
        """
        GroupAction([
            PushRosNamespace("space"),
            RegisterEventHandler(OnProcessStart(
                target_action=one, on_start=[change(Transition.TRANSITION_CONFIGURE, one)])),
            RegisterEventHandler(OnStateTransition(
                target_lifecycle_node=one, start_state="configuring", goal_state="inactive",
                entities=[LogInfo(msg="inactive"), change(Transition.TRANSITION_ACTIVATE, one)])),
            RegisterEventHandler(OnStateTransition(
                target_lifecycle_node=one, goal_state="active", entities=[LogInfo(msg="active"), Shutdown()])),
            one,
        ]),
        """,
        setup=SETUP,
    )
    assert result.code == 0
    assert result.said() == ["inactive", "active"]
    assert result.said("[machine-1] ")[:2] == ["configuring", "activating"]


def test_only_the_node_that_the_event_is_meant_for_changes(lifecycle_node):
    result = lifecycle_node.launch(
        """
        RegisterEventHandler(OnProcessStart(
            target_action=two, on_start=[change(Transition.TRANSITION_CONFIGURE, two)])),
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=one, entities=[LogInfo(msg="one changed")])),
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=two, goal_state="inactive", entities=[LogInfo(msg="two changed"), Shutdown()])),
        one,
        two,
        """,
        setup=SETUP + 'two = machine("two", namespace="/elsewhere")',
    )
    assert (result.code, result.said()) == (0, ["two changed"])


def test_a_transition_that_the_node_refuses_is_an_error_that_names_both(lifecycle_node):
    result = lifecycle_node.launch(
        """
        RegisterEventHandler(OnProcessStart(
            target_action=picky, on_start=[change(Transition.TRANSITION_CONFIGURE, picky)])),
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=picky, goal_state="unconfigured", entities=[LogInfo(msg="refused")])),
        TimerAction(period=3600.0, actions=[]),
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=picky, goal_state="unconfigured",
            entities=[TimerAction(period=1.0, actions=[Shutdown()])])),
        picky,
        """,
        setup=SETUP + 'picky = machine("picky", namespace="", parameters=[{"refuse": True}])',
    )
    assert (result.code, result.said()) == (0, ["refused"])
    error = next(line for line in result.lines if "Failed to make transition" in line)
    assert "/picky" in error and "configure" in error.lower()


def test_a_shutdown_does_not_wait_for_a_node_that_never_comes(lifecycle_node):
    lifecycle_node.add_program("silent", "import time\nprint('silent', flush=True)\ntime.sleep(3600)")
    result = lifecycle_node.launch(
        """
        RegisterEventHandler(OnProcessStart(
            target_action=silent, on_start=[change(Transition.TRANSITION_CONFIGURE, silent)])),
        RegisterEventHandler(OnProcessIO(target_action=silent, on_stdout=lambda event: Shutdown())),
        silent,
        """,
        setup=SETUP
        + 'silent = LifecycleNode(package="probe", executable="silent", name="silent", namespace="", output="screen")',
    )
    # The code is not looked at: the genuine package may take the wait that it gives up for an error.
    assert "sending signal 'SIGINT' to process[silent-1]" in result.text
    assert "process has died" in result.text
