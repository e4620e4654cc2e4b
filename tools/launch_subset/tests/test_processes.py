"""What launch does with processes."""

from __future__ import annotations

import re
import signal

import pytest

#: Says that it is ready, and what it is told; ends at SIGTERM, but not at SIGINT.
STUBBORN = """\
import os, signal, sys, time
def at_int(number, frame):
    os.write(1, b"told INT\\n")
def at_term(number, frame):
    os.write(1, b"told TERM\\n")
    sys.exit(0)
signal.signal(signal.SIGINT, at_int)
signal.signal(signal.SIGTERM, at_term)
os.write(1, b"ready\\n")
while True:
    time.sleep(0.01)
"""

#: Does not end before it is killed.
IMMORTAL = """\
import os, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", os.getpid(), flush=True)
while True:
    time.sleep(0.01)
"""

#: Ends at SIGINT, as a program should.
POLITE = """\
import os, signal, sys, time
signal.signal(signal.SIGINT, lambda number, frame: sys.exit(0))
print("ready", os.getpid(), flush=True)
while True:
    time.sleep(0.01)
"""

WHEN_READY = """
RegisterEventHandler(OnProcessIO(
    target_action=process, on_stdout=lambda event: Shutdown() if b"ready" in event.text else None)),
process,
"""


@pytest.mark.parametrize(
    ("output", "shown", "logged"),
    [
        ("screen", ["out", "err"], []),
        ("log", ["err"], ["out", "err"]),
        ("both", ["out", "err"], ["out", "err"]),
        ({"stdout": "screen", "stderr": "log"}, ["out"], ["err"]),
        ({"both": ["screen", "log"]}, ["out", "err"], ["out", "err"]),
    ],
    ids=str,
)
def test_output_goes_where_it_is_told_to(bench, output, shown, logged):
    result = bench.launch(f'ExecuteProcess(cmd=["sh", "-c", "echo out; echo err >&2"], name="p", output={output!r})')
    written = (bench.logs / "latest" / "launch.log").read_text().splitlines()
    for word in ("out", "err"):
        assert (f"[p-1] {word}" in result.lines) == (word in shown)
        assert any(line.endswith(f" [p-1] {word}") for line in written) == (word in logged)


def test_output_can_go_to_files_of_its_own(bench):
    bench.launch('ExecuteProcess(cmd=["sh", "-c", "echo out; echo err >&2"], name="p", output="own_log")')
    logs = bench.logs / "latest"
    assert "out" in (logs / "p-1-stdout.log").read_text() and "err" in (logs / "p-1-stderr.log").read_text()
    together = (logs / "p-1.log").read_text()
    assert "out" in together and "err" in together


def test_the_environment_can_override_where_output_goes(bench):
    entities = 'ExecuteProcess(cmd=["echo", "out"], output="log")'
    result = bench.launch(entities, OVERRIDE_LAUNCH_PROCESS_OUTPUT="screen")
    assert "[echo-1] out" in result.lines


def test_a_last_line_without_an_end_is_shown_and_each_line_has_its_prefix(bench):
    result = bench.launch('ExecuteProcess(cmd=["printf", "one\\\\ntwo\\\\nhalf"], name="p", output="screen")')
    assert [line for line in result.lines if line.startswith("[p-1]")] == ["[p-1] one", "[p-1] two", "[p-1] half"]


def test_the_format_of_lines_can_be_chosen(bench):
    result = bench.launch('ExecuteProcess(cmd=["echo", "x"], output="screen", output_format="<{line}>")')
    assert "<x>" in result.lines


def test_names_are_those_of_the_programs_with_numbers_in_the_order_of_the_visit(bench):
    result = bench.launch(
        """
        ExecuteProcess(cmd=["/bin/true"]),
        ExecuteProcess(cmd=["true"], name=["na", "me"]),
        ExecuteProcess(cmd=["true"], prefix="env A=1"),
        ExecuteProcess(cmd=["echo", "a | cat"], shell=True),
        """
    )
    started = [line.partition("]: ")[0] for line in result.lines if "process started with pid" in line]
    assert started == ["[INFO] [true-1", "[INFO] [name-2", "[INFO] [env-3", "[INFO] [echo-4"]


def test_words_may_be_substitutions_and_a_shell_joins_them(bench):
    result = bench.launch(
        """
        DeclareLaunchArgument("a", default_value="1 2"),
        ExecuteProcess(cmd=["echo", LaunchConfiguration("a"), ["<", LaunchConfiguration("a"), ">"]],
                       output="screen", name="p"),
        ExecuteProcess(cmd=["echo", "$((1 + 2))", "|", "cat"], shell=True, output="screen", name="s"),
        """
    )
    assert "[p-1] 1 2 <1 2>" in result.lines and "[s-2] 3" in result.lines


def test_directory_and_environment_are_those_given(bench):
    result = bench.launch(
        f"""
        SetEnvironmentVariable("B", "set"),
        ExecuteProcess(cmd=["/bin/sh", "-c", "echo $A-$B-$(pwd)"], env={{"A": "only"}},
                       cwd={str(bench.share)!r}, output="screen", name="clean"),
        ExecuteProcess(cmd=["/bin/sh", "-c", "echo $A-$B"], additional_env={{"A": ["more", "!"]}},
                       output="screen", name="more"),
        """
    )
    assert f"[clean-1] only--{bench.share}" in result.lines and "[more-2] more!-set" in result.lines


def test_a_process_has_the_environment_of_the_group_that_it_stands_in(bench):
    result = bench.launch(
        """
        GroupAction([SetEnvironmentVariable("E", "inner"),
                     ExecuteProcess(cmd=["sh", "-c", "echo [$E]"], output="screen", name="in")]),
        ExecuteProcess(cmd=["sh", "-c", "echo [$E]"], output="screen", name="out"),
        """
    )
    assert "[in-1] [inner]" in result.lines and "[out-2] []" in result.lines


def test_the_end_of_a_process_is_reported_with_its_code(bench):
    result = bench.launch(
        'ExecuteProcess(cmd=["true"], name="good"), ExecuteProcess(cmd=["sh", "-c", "exit 3"], name="bad")'
    )
    assert result.code == 0
    assert any(line.startswith("[INFO] [good-1]: process has finished cleanly [pid ") for line in result.lines)
    died = next(line for line in result.lines if line.startswith("[ERROR] [bad-2]: process has died [pid "))
    assert died.endswith("exit code 3, cmd 'sh -c exit 3'].")


@pytest.mark.parametrize("options", ['cmd=["/no/such/program"]', 'cmd=["true"], cwd="/no/such/directory"'])
def test_a_process_that_cannot_be_started_is_an_error_and_the_others_go_on(bench, options):
    result = bench.launch(f'ExecuteProcess({options}), ExecuteProcess(cmd=["echo", "on"], output="screen")')
    assert result.code == 0
    assert "No such file or directory" in result.text and "[echo-2] on" in result.lines


def test_a_process_may_respawn_with_a_delay_and_as_often_as_allowed(bench):
    result = bench.launch(
        'ExecuteProcess(cmd=["echo", "hi"], output="screen", respawn=True, respawn_delay=0.05, respawn_max_retries=2)'
    )
    assert result.code == 0
    assert result.lines.count("[echo-1] hi") == 3


def test_a_process_that_respawns_is_not_started_again_after_the_shutdown(bench):
    result = bench.launch(
        """
        ExecuteProcess(cmd=["echo", "hi"], output="screen", respawn=True, respawn_delay=3600.0,
                       on_exit=[Shutdown()]),
        """
    )
    assert result.code == 0
    assert result.lines.count("[echo-1] hi") == 1


def test_the_end_of_a_required_process_ends_the_others(bench):
    result = bench.launch(
        """
        ExecuteProcess(cmd=["sh", "-c", "exit 4"], name="required", on_exit=Shutdown(reason="gone")),
        ExecuteProcess(cmd=["sleep", "3600"], name="other"),
        """
    )
    assert result.code == 0
    assert "[INFO] [launch]: process[required-1] was required: shutting down launched system" in result.lines
    assert "[INFO] [other-2]: sending signal 'SIGINT' to process[other-2]" in result.lines


def test_a_process_that_ignores_the_interrupt_is_terminated_and_then_killed(bench):
    bench.add_program("stubborn", STUBBORN)
    bench.add_program("immortal", IMMORTAL)
    result = bench.launch(
        WHEN_READY,
        setup="""
        process = ExecuteProcess(
            cmd=[ExecutableInPackage("stubborn", "probe")], name="p", output="screen", sigterm_timeout="0.2")
        """,
    )
    assert result.code == 0
    assert result.said("[p-1] ") == ["ready", "told INT", "told TERM"]
    result = bench.launch(
        WHEN_READY,
        setup="""
        process = ExecuteProcess(cmd=[ExecutableInPackage("immortal", "probe")], name="p", output="screen",
                                 sigterm_timeout="0.2", sigkill_timeout="0.2")
        """,
    )
    assert result.code == 0
    assert [line.partition(" to ")[0] for line in result.said("[INFO] [p-1]: sending ")] == [
        "signal 'SIGINT'",
        "signal 'SIGTERM'",
        "signal 'SIGKILL'",
    ]
    assert any("exit code -9" in line for line in result.lines)


def test_the_patience_at_shutdown_can_be_set_for_all_processes(bench):
    bench.add_program("immortal", IMMORTAL)
    result = bench.launch(
        WHEN_READY,
        "sigterm_timeout:=0.1",
        "sigkill_timeout:=0.1",
        setup='process = ExecuteProcess(cmd=[ExecutableInPackage("immortal", "probe")], name="p", output="screen")',
    )
    assert result.code == 0
    assert any("exit code -9" in line for line in result.lines)


def test_a_process_can_be_ended_alone_and_be_sent_a_signal(bench):
    bench.add_program("stubborn", STUBBORN)
    result = bench.launch(
        """
        RegisterEventHandler(OnProcessIO(target_action=process, on_stdout=react)), process,
        """,
        setup="""
        import signal

        process = ExecuteProcess(
            cmd=[ExecutableInPackage("stubborn", "probe")], name="p", output="screen", sigterm_timeout="0.1")
        this = matches_action(process)

        def react(event):
            if b"ready" in event.text:
                return EmitEvent(event=SignalProcess(signal_number=signal.SIGINT, process_matcher=this))
            if b"told INT" in event.text and not ended:
                ended.append(True)
                return EmitEvent(event=ShutdownProcess(process_matcher=this))

        ended = []
        """,
    )
    assert result.code == 0
    assert result.said("[p-1] ") == ["ready", "told INT", "told INT", "told TERM"]


def test_ctrl_c_ends_the_processes_and_the_code_is_zero(bench, gone):
    bench.add_program("polite", POLITE)
    path = bench.write(
        """
        RegisterEventHandler(OnShutdown(on_shutdown=[LogInfo(msg=["because: ", LocalSubstitution("event.reason")])])),
        ExecuteProcess(cmd=[ExecutableInPackage("polite", "probe")], name="p", output="screen"),
        """
    )
    command = bench.start("launch", str(path))
    pid = int(command.wait_for_line("[p-1] ready").rpartition(" ")[2])
    command.process.send_signal(signal.SIGINT)
    assert command.finish() == 0
    assert gone(pid)
    assert "[WARNING] [launch]: user interrupted with ctrl-c (SIGINT)" in command.lines
    assert "[INFO] [launch.user]: because: ctrl-c (SIGINT)" in command.lines
    assert f"[INFO] [p-1]: process has finished cleanly [pid {pid}]" in command.lines


def test_ctrl_c_at_a_terminal_reaches_each_process_once(bench):
    bench.add_program("stubborn", STUBBORN)
    path = bench.write(
        'ExecuteProcess(cmd=[ExecutableInPackage("stubborn", "probe")], name="p", output="screen", sigterm_timeout="1")'
    )
    command = bench.start_at_terminal("launch", str(path))
    command.wait_for_line("[p-1] ready")
    command.type("\x03")
    assert command.finish() == 0
    # The terminal shows a ^C in front of what comes next, and the genuine package may show a line twice.
    shown = re.findall(r"\[p-1\] told (\w+)", "\n".join(command.lines))
    assert shown == ["INT", "TERM"]


def test_a_second_ctrl_c_while_processes_end_changes_nothing(bench, gone):
    bench.add_program("stubborn", STUBBORN)
    path = bench.write(
        'ExecuteProcess(cmd=[ExecutableInPackage("stubborn", "probe")], name="p", output="screen", sigterm_timeout="1")'
    )
    command = bench.start("launch", str(path))
    command.wait_for_line("[p-1] ready")
    command.process.send_signal(signal.SIGINT)
    command.wait_for_line("told INT")
    command.process.send_signal(signal.SIGINT)
    command.wait_for_line("again, ignoring...")
    assert command.finish() == 0
    assert "[p-1] told TERM" in command.lines


def test_output_and_code_can_be_read_by_the_one_who_launched(bench, monkeypatch):
    from launch import LaunchDescription, LaunchService
    from launch.actions import ExecuteProcess

    monkeypatch.setenv("ROS_LOG_DIR", str(bench.logs))
    kept = ExecuteProcess(cmd=["sh", "-c", "echo out; echo err >&2; exit 3"], cached_output=True)
    service = LaunchService(noninteractive=True)
    service.include_launch_description(LaunchDescription([kept]))
    assert kept.return_code is None
    assert service.run() == 0
    assert (kept.return_code, kept.get_stdout(), kept.get_stderr()) == (3, "out\n", "err\n")
    assert kept.process_details["cmd"] == ["sh", "-c", "echo out; echo err >&2; exit 3"]


def test_a_service_that_runs_on_can_be_shut_down_from_another_thread(bench, monkeypatch):
    import threading

    from launch import LaunchDescription, LaunchService
    from launch.actions import ExecuteProcess, RegisterEventHandler
    from launch.event_handlers import OnProcessStart

    monkeypatch.setenv("ROS_LOG_DIR", str(bench.logs))
    sleeper = ExecuteProcess(cmd=["sleep", "3600"])
    service = LaunchService(noninteractive=True)
    started = threading.Event()

    def at_start(event, context):
        started.set()

    service.include_launch_description(
        LaunchDescription([RegisterEventHandler(OnProcessStart(target_action=sleeper, on_start=at_start)), sleeper])
    )

    def shut_down():
        assert started.wait(60)
        service.shutdown()

    thread = threading.Thread(target=shut_down)
    thread.start()
    assert service.run(shutdown_when_idle=False) == 0
    thread.join()
    assert sleeper.return_code == -signal.SIGINT
