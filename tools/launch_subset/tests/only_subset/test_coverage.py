"""What the stand-in does not cover is refused by name; where it is better than it has to be."""

from __future__ import annotations

import importlib
import signal
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("launch.actions", "AppendEnvironmentVariable"),
        ("launch.substitutions", "Command"),
        ("launch.launch_description_sources", "AnyLaunchDescriptionSource"),
        ("launch", "LaunchIntrospector"),
        ("launch_ros.actions", "ComposableNodeContainer"),
        ("launch_ros.substitutions", "Parameter"),
        ("launch_testing.actions", "GTest"),
    ],
)
def test_what_is_not_covered_is_an_error_at_import_that_says_so(module, name):
    with pytest.raises(ImportError, match=rf"{module}\.{name} is not covered by the launch subset of mbpl"):
        exec(f"from {module} import {name}")
    with pytest.raises(AttributeError):
        importlib.import_module(module).no_class_name  # noqa: B018


def test_an_option_that_is_not_covered_is_an_error_that_names_it():
    from launch.actions import ExecuteProcess, GroupAction

    with pytest.raises(TypeError, match="ExecuteProcess got 'emulate_tty', which the launch subset"):
        ExecuteProcess(cmd=["true"], emulate_tty=True)
    with pytest.raises(TypeError, match="GroupAction got 'forwarding', which the launch subset"):
        GroupAction([], forwarding=False)


@pytest.mark.parametrize(
    "module",
    [
        "launch.actions",
        "launch.conditions",
        "launch.event_handlers",
        "launch.launch_description_sources",
        "launch.substitutions",
        "launch_pytest.actions",
        "launch_pytest.tools",
        "launch_ros.actions",
        "launch_ros.event_handlers",
        "launch_ros.events.lifecycle",
        "launch_ros.substitutions",
        "launch_testing.actions",
    ],
)
def test_what_a_module_exports_exists_and_the_page_names_it(module):
    loaded = importlib.import_module(module)
    page = (Path(__file__).parents[2] / "README.md").read_text()
    for name in loaded.__all__:
        assert hasattr(loaded, name)
        base_class = name in ("FindPackage", "OnActionEventBase")
        helper = name[0].islower() or name.endswith(("Error", "Failure"))
        assert base_class or helper or name == "PushROSNamespace" or f"`{name}`" in page or f".{name}`" in page


def test_the_page_names_each_verb_of_the_command():
    from ros2_subset.command import VERBS

    page = (Path(__file__).parents[2] / "README.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| `ros2` |"))
    assert [verb for verb in VERBS if f"`{verb}" not in row] == []


def test_a_mark_without_its_fixture_and_a_generator_after_the_shutdown_are_errors(bench):
    import subprocess
    import sys

    path = bench.directory / "test_it.py"
    for text, expected in (
        ("@pytest.mark.launch\ndef test_it(): pass", "pytest.mark.launch needs fixture=F"),
        ("@pytest.mark.launch(fixture=f, shutdown=True)\ndef test_it():\n    yield", "cannot be marked with shutdown"),
        ("def test_it(launch_context): pass", "not marked with pytest.mark.launch"),
    ):
        path.write_text(
            "import launch, launch_pytest, pytest\n"
            f"@launch_pytest.fixture\ndef f():\n    return launch.LaunchDescription()\n{text}\n"
        )
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(path)],
            env=bench.environment,
            cwd=bench.directory,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode != 0
        assert expected in result.stdout + result.stderr


def test_an_error_in_the_launched_description_is_an_error_of_the_test(bench):
    import subprocess
    import sys

    path = bench.directory / "test_it.py"
    path.write_text(
        "import launch, launch_pytest, pytest\n"
        "from launch.actions import LogInfo\n"
        "from launch.substitutions import LaunchConfiguration\n"
        "@launch_pytest.fixture\ndef f():\n"
        "    return launch.LaunchDescription([LogInfo(msg=LaunchConfiguration('nope'))])\n"
        "@pytest.mark.launch(fixture=f)\ndef test_it(): pass\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(path)],
        env=bench.environment,
        cwd=bench.directory,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 1
    assert "the launch service ended with code 1 before the tests could begin" in result.stdout
    assert "launch configuration 'nope' does not exist" in result.stdout


def test_a_launch_that_is_terminated_ends_what_it_launched(bench, gone):
    bench.add_program(
        "polite",
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda number, frame: sys.exit(0))\n"
        "print('ready', os.getpid(), flush=True)\n"
        "while True: time.sleep(0.01)\n",
    )
    path = bench.write('ExecuteProcess(cmd=[ExecutableInPackage("polite", "probe")], name="p", output="screen")')
    command = bench.start("launch", str(path))
    pid = int(command.wait_for_line("[p-1] ready").rpartition(" ")[2])
    command.process.send_signal(signal.SIGTERM)
    assert command.finish() == 0
    assert gone(pid)


def test_the_directory_of_a_file_is_its_own_again_after_an_include(bench):
    (bench.directory / "sub").mkdir()
    included = bench.write("", name="sub/included.launch.py")
    result = bench.launch(
        f"""
        IncludeLaunchDescription(PythonLaunchDescriptionSource({str(included)!r})),
        LogInfo(msg=ThisLaunchFileDir()),
        """
    )
    assert result.said() == [str(bench.directory)]


def test_a_parameter_of_a_group_stays_in_it_even_where_there_are_some_outside(reporting_node):
    result = reporting_node.launch(
        """
        SetParameter("outer", 1),
        GroupAction([SetParameter("inner", 2), Node(package="probe", executable="report", name="a", output="screen")]),
        Node(package="probe", executable="report", name="b", output="screen"),
        """
    )
    a, b = (result.reports()[name]["parameters"] for name in ("/a", "/b"))
    assert (a["outer"], a["inner"], b["outer"]) == (1, 2, 1)
    assert "inner" not in b


def test_signals_can_be_named_and_text_for_all_nodes_may_hold_anything(reporting_node):
    from launch.events.process import SignalProcess

    assert SignalProcess(signal_number="SIGUSR1", process_matcher=lambda action: True).signal is signal.SIGUSR1
    text = "with: colon, 'quotes' and # hash"
    result = reporting_node.launch(
        f"""
        SetParameter("text", {text!r}),
        Node(package="probe", executable="report", name="n", output="screen"),
        """
    )
    assert result.reports()["/n"]["parameters"]["text"] == text


def test_an_error_in_what_an_action_does_later_ends_the_launch(bench):
    result = bench.launch(
        """
        ExecuteProcess(cmd=["sleep", "3600"]),
        Later(),
        """,
        setup="""
        import asyncio
        from launch import Action

        class Later(Action):
            def execute(self, context):
                context.add_completion_future(context.asyncio_loop.create_task(self.fail()))

            async def fail(self):
                await asyncio.sleep(0.05)
                raise OSError("too late")
        """,
    )
    assert result.code == 1
    assert "Caught exception in launch (see debug for traceback): too late" in result.text


def test_a_format_of_output_that_names_what_there_is_not_is_an_error(bench):
    result = bench.launch('ExecuteProcess(cmd=["true"], output_format="{nothing}")')
    assert result.code == 1
    assert "'nothing'" in result.text


def test_an_unknown_output_is_an_error_that_says_what_is_allowed(bench):
    result = bench.launch('ExecuteProcess(cmd=["true"], output="loud")')
    assert result.code == 1
    assert "output 'loud' of true-1; allowed are screen, log, both, own_log, full" in result.text


def test_a_process_is_reported_to_have_ended_only_when_its_last_words_were_shown(bench):
    result = bench.launch(
        """
        RegisterEventHandler(OnProcessExit(on_exit=[LogInfo(msg="ended")])),
        ExecuteProcess(cmd=["sh", "-c", "seq 5000"], name="p", output="screen"),
        """
    )
    assert result.lines.index("[p-1] 5000") < result.lines.index("[INFO] [launch.user]: ended")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("no_such_msgs/srv/Type",), "there is no type 'no_such_msgs/srv/Type'"),
        (("std_srvs/srv/Nothing",), "there is no type 'std_srvs/srv/Nothing'"),
        (("std_srvs",), "'std_srvs' is not the name of a type: expected package/srv/Type"),
        (("std_srvs/srv/SetBool", "{nothing: 1}"), "SetBool_Request has no field 'nothing'; its fields: data"),
        (("std_srvs/srv/SetBool", "{data: text}"), "field 'data' of SetBool_Request, a boolean: expected"),
        (("std_srvs/srv/SetBool", "[1]"), "the values have to be a dictionary"),
        (("std_srvs/srv/SetBool", "{"), "the values are not YAML"),
    ],
    ids=str,
)
def test_a_request_that_cannot_be_made_is_an_error_that_says_why(bench, words, named):
    result = bench.ros2("service", "call", "/x", *words)
    assert result.code == 1
    assert named in result.text
