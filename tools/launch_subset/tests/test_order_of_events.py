"""In which order things happen."""

from __future__ import annotations


def test_entities_are_visited_in_order_and_what_they_lead_to_comes_before_what_follows(bench):
    result = bench.launch(
        """
        LogInfo(msg="1"),
        GroupAction([LogInfo(msg="2"), GroupAction([LogInfo(msg="3")]), LogInfo(msg="4")]),
        OpaqueFunction(function=lambda context: [LogInfo(msg="5"), GroupAction([LogInfo(msg="6")])]),
        LogInfo(msg="7"),
        """
    )
    assert (result.code, result.said()) == (0, list("1234567"))


def test_processes_start_when_the_whole_description_was_visited(bench):
    result = bench.launch('ExecuteProcess(cmd=["true"]), LogInfo(msg="visited")')
    start = next(index for index, line in enumerate(result.lines) if "process started with pid" in line)
    assert result.lines.index("[INFO] [launch.user]: visited") < start


def test_events_are_handled_in_the_order_they_were_emitted_after_the_visit(bench):
    result = bench.launch(
        """
        RegisterEventHandler(EventHandler(matcher=lambda event: isinstance(event, Mine),
                                          entities=[LogInfo(msg=["event ", LocalSubstitution("event.text")])])),
        EmitEvent(event=Mine("a")),
        EmitEvent(event=Mine("b")),
        LogInfo(msg="visited"),
        """,
        setup="""
        from launch import Event, EventHandler

        class Mine(Event):
            def __init__(self, text):
                self.text = text
        """,
    )
    assert (result.code, result.said()) == (0, ["visited", "event a", "event b"])


def test_the_newest_handler_is_asked_first(bench):
    result = bench.launch(
        """
        ExecuteProcess(cmd=["true"]),
        RegisterEventHandler(OnProcessExit(on_exit=[LogInfo(msg="old")])),
        RegisterEventHandler(OnProcessExit(on_exit=[LogInfo(msg="new")])),
        """
    )
    assert (result.code, result.said()) == (0, ["new", "old"])


def test_handlers_are_told_start_output_and_exit_of_their_process_only(bench):
    result = bench.launch(
        """
        RegisterEventHandler(OnProcessStart(target_action=one, on_start=[LogInfo(msg="start")])),
        RegisterEventHandler(OnProcessIO(
            target_action=one,
            on_stdout=lambda event: LogInfo(msg="out " + event.text.decode().strip()),
            on_stderr=lambda event: LogInfo(msg="err " + event.text.decode().strip()),
        )),
        RegisterEventHandler(OnProcessExit(
            target_action=one,
            on_exit=lambda event, context: [LogInfo(msg=f"exit {event.returncode} {event.process_name}")],
        )),
        one,
        ExecuteProcess(cmd=["echo", "other"]),
        """,
        setup="""
        one = ExecuteProcess(cmd=["sh", "-c", "echo a; echo b >&2; exit 3"], name="one")
        """,
    )
    assert result.code == 0
    assert sorted(result.said()) == ["err b", "exit 3 one-1", "out a", "start"]


def test_a_handler_that_handles_once_is_not_asked_again(bench):
    result = bench.launch(
        """
        ExecuteProcess(cmd=["true"]),
        ExecuteProcess(cmd=["true"]),
        RegisterEventHandler(OnProcessExit(on_exit=[LogInfo(msg="once")], handle_once=True)),
        """
    )
    assert (result.code, result.said()) == (0, ["once"])


def test_a_handler_that_was_unregistered_is_not_asked(bench):
    result = bench.launch(
        """
        RegisterEventHandler(handler), UnregisterEventHandler(handler), ExecuteProcess(cmd=["true"]),
        """,
        setup='handler = OnProcessExit(on_exit=[LogInfo(msg="never")])',
    )
    assert (result.code, result.said()) == (0, [])


def test_a_process_can_follow_another(bench):
    result = bench.launch(
        """
        first,
        RegisterEventHandler(OnProcessExit(
            target_action=first, on_exit=[ExecuteProcess(cmd=["echo", "second"], output="screen")])),
        """,
        setup='first = ExecuteProcess(cmd=["true"])',
    )
    assert result.code == 0
    assert "[echo-2] second" in result.lines


def test_a_timer_fires_after_its_period_and_the_shorter_one_first(bench):
    result = bench.launch(
        """
        TimerAction(period="0.2", actions=[LogInfo(msg="long")]),
        TimerAction(period=LaunchConfiguration("short"), actions=[LogInfo(msg="short")]),
        LogInfo(msg="visited"),
        """,
        "short:=0.05",
    )
    assert (result.code, result.said()) == (0, ["visited", "short", "long"])


def test_a_timer_is_cancelled_by_the_shutdown_and_by_a_user(bench):
    result = bench.launch(
        """
        TimerAction(period=3600.0, actions=[LogInfo(msg="never")]),
        timer,
        OpaqueFunction(function=lambda context: timer.cancel()),
        TimerAction(period=0.1, actions=[Shutdown(reason="enough")]),
        """,
        setup='timer = TimerAction(period=0.01, actions=[LogInfo(msg="never either")])',
    )
    assert (result.code, result.said()) == (0, [])


def test_the_completion_of_an_action_is_an_event(bench):
    result = bench.launch(
        """
        RegisterEventHandler(OnExecutionComplete(target_action=log, on_completion=[LogInfo(msg="after the log")])),
        RegisterEventHandler(OnExecutionComplete(target_action=process, on_completion=[LogInfo(msg="after it")])),
        log,
        process,
        """,
        setup="""
        log = LogInfo(msg="log")
        process = ExecuteProcess(cmd=["sleep", "0.1"])
        """,
    )
    assert (result.code, result.said()) == (0, ["log", "after the log", "after it"])


def test_shutdown_is_told_with_its_reason_before_the_processes_are_ended(bench):
    result = bench.launch(
        """
        RegisterEventHandler(OnShutdown(on_shutdown=[LogInfo(msg=["because: ", LocalSubstitution("event.reason")])])),
        sleeper,
        RegisterEventHandler(OnProcessStart(target_action=sleeper, on_start=[Shutdown(reason="tired")])),
        """,
        setup='sleeper = ExecuteProcess(cmd=["sleep", "3600"])',
    )
    assert (result.code, result.said()) == (0, ["because: tired"])
    ending = next(index for index, line in enumerate(result.lines) if "sending signal 'SIGINT'" in line)
    assert result.lines.index("[INFO] [launch.user]: because: tired") < ending


def test_processes_are_ended_the_last_one_first(bench):
    result = bench.launch(
        """
        ExecuteProcess(cmd=["sleep", "3600"], name="a"), ExecuteProcess(cmd=["sleep", "3600"], name="b"), last,
        RegisterEventHandler(OnProcessStart(target_action=last, on_start=[Shutdown()])),
        """,
        setup='last = ExecuteProcess(cmd=["sleep", "3600"], name="c")',
    )
    ended = [line.rpartition("to process[")[2] for line in result.lines if "sending signal 'SIGINT'" in line]
    assert ended == ["c-3]", "b-2]", "a-1]"]


def test_an_error_ends_the_launched_system_with_code_one(bench):
    result = bench.launch(
        """
        sleeper,
        RegisterEventHandler(OnProcessStart(
            target_action=sleeper, on_start=[LogInfo(msg=LaunchConfiguration("nope"))])),
        RegisterEventHandler(OnShutdown(on_shutdown=[LogInfo(msg="told")])),
        """,
        setup='sleeper = ExecuteProcess(cmd=["sleep", "3600"])',
    )
    assert (result.code, result.said()) == (1, ["told"])
    assert "Caught exception in launch" in result.text
    assert "launch configuration 'nope' does not exist" in result.text
    assert "sending signal 'SIGINT' to process[sleep-1]" in result.text
