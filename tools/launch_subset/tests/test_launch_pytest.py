"""Tests that launch: what `launch_pytest` makes of them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from xml.etree import ElementTree

import pytest

IMPORTS = """\
import asyncio
import threading

import launch_pytest
import pytest
from launch import LaunchDescription
from launch.actions import ExecuteProcess, LogInfo, RegisterEventHandler, TimerAction
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.substitutions import LaunchConfiguration
from launch_pytest.actions import ReadyToTest
from launch_pytest.tools import process as tools

TALKER = [
    "sh", "-c",
    "trap 'echo bye; exit 0' INT; echo hello; echo trouble >&2; while true; do sleep 0.02; done",
]

@pytest.fixture
def talker():
    return ExecuteProcess(cmd=TALKER, cached_output=True)

@launch_pytest.fixture
def launched(talker):
    return LaunchDescription([talker, ReadyToTest()])
"""


@pytest.fixture
def run(bench):
    """Run a file of tests; name and outcome of each in their order, and all output."""

    def run_tests(text: str, *, autoload: bool = False) -> tuple[list[tuple[str, str]], str]:
        path = bench.directory / "test_it.py"
        path.write_text(f"{IMPORTS}\n{textwrap.dedent(text)}")
        (bench.directory / "pytest.ini").write_text("[pytest]\n")
        report = bench.directory / "report.xml"
        command = [sys.executable, "-m", "pytest", "--strict-markers", "-p", "no:cacheprovider", f"--junitxml={report}"]
        environment = dict(bench.environment)
        if not autoload:
            # The other plugins of the environment take longer to load than the tests take to run.
            environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
            command += ["-p", "launch_pytest.plugin"]
        result = subprocess.run(
            [*command, str(path)], env=environment, cwd=bench.directory, capture_output=True, text=True, timeout=120
        )
        found = []
        for case in ElementTree.parse(report).iter("testcase"):
            found.append((case.attrib["name"], case[0].tag if len(case) else "passed"))
        return found, result.stdout + result.stderr

    return run_tests


def test_a_function_runs_beside_the_launched_processes(run):
    outcomes, text = run(
        """
        @pytest.mark.launch(fixture=launched)
        def test_beside(talker, launch_context, launch_service):
            assert launch_service.context is launch_context
            assert tools.wait_for_start_sync(launch_context, talker, timeout=30)
            assert tools.wait_for_output_sync(launch_context, talker, lambda text: text == "hello\\n", timeout=30)
            assert tools.wait_for_stderr_sync(launch_context, talker, lambda text: "trouble" in text, timeout=30)
            assert not tools.wait_for_exit_sync(launch_context, talker, timeout=0.1)
            assert not tools.wait_for_output_sync(launch_context, talker, lambda text: "never" in text, timeout=0.1)
            assert talker.return_code is None
        """,
        autoload=True,
    )
    assert outcomes == [("test_beside", "passed")], text


def test_a_coroutine_runs_in_the_loop_of_the_launch_service(run):
    outcomes, text = run(
        """
        @pytest.mark.launch(fixture=launched)
        async def test_in_the_loop(talker, launch_context, event_loop):
            assert asyncio.get_running_loop() is launch_context.asyncio_loop
            assert asyncio.get_running_loop() is event_loop
            assert await tools.wait_for_start(launch_context, talker, timeout=30)
            assert await tools.wait_for_output(launch_context, talker, lambda text: "hello" in text, timeout=30)
            assert not await tools.wait_for_exit(launch_context, talker, timeout=0.1)
        """
    )
    assert outcomes == [("test_in_the_loop", "passed")], text


def test_what_follows_the_yield_of_a_generator_runs_after_the_shutdown(run):
    outcomes, text = run(
        """
        @pytest.mark.launch(fixture=launched)
        def test_generator(talker, launch_context):
            assert tools.wait_for_output_sync(launch_context, talker, lambda text: "hello" in text, timeout=30)
            yield
            assert talker.return_code == 0
            assert talker.get_stdout() == "hello\\nbye\\n"

        @pytest.mark.launch(fixture=launched)
        async def test_coroutine(talker, launch_context):
            assert await tools.wait_for_output(launch_context, talker, lambda text: "hello" in text, timeout=30)
            yield
            assert talker.return_code == 0
        """
    )
    assert outcomes == [("test_generator", "passed"), ("test_coroutine", "passed")], text


def test_failures_are_failures_wherever_they_happen(run):
    outcomes, text = run(
        """
        @pytest.mark.launch(fixture=launched)
        def test_before(talker, launch_context):
            assert "one" == "two"

        @pytest.mark.launch(fixture=launched)
        async def test_in_a_coroutine(talker, launch_context):
            assert "one" == "two"

        @pytest.mark.launch(fixture=launched)
        def test_before_the_yield(talker, launch_context):
            assert "one" == "two"
            yield

        @pytest.mark.launch(fixture=launched)
        def test_after_the_yield(talker, launch_context):
            yield
            assert "one" == "two"

        @pytest.mark.launch(fixture=launched)
        def test_that_yields_twice(talker, launch_context):
            yield
            yield
        """
    )
    assert [outcome for _, outcome in outcomes] == ["failure"] * 5, text


def test_a_shutdown_test_runs_after_the_end_of_the_service(run):
    outcomes, text = run(
        """
        @launch_pytest.fixture(scope="module")
        def shared():
            process = ExecuteProcess(cmd=TALKER, cached_output=True)
            return LaunchDescription([process, ReadyToTest()]), process

        @pytest.mark.launch(fixture=shared, shutdown=True)
        def test_after(shared):
            assert shared[1].return_code == 0

        @pytest.mark.launch(fixture=shared, shutdown=True)
        async def test_after_in_the_loop(shared):
            assert shared[1].return_code == 0

        @pytest.mark.launch(fixture=shared)
        def test_beside(shared, launch_context):
            assert tools.wait_for_output_sync(launch_context, shared[1], lambda text: "hello" in text, timeout=30)
            assert shared[1].return_code is None
        """
    )
    assert outcomes == [("test_beside", "passed"), ("test_after", "passed"), ("test_after_in_the_loop", "passed")], text


def test_tests_of_a_module_share_a_service_and_generators_go_on_when_all_are_through(run):
    outcomes, text = run(
        """
        @launch_pytest.fixture(scope="module")
        def shared():
            process = ExecuteProcess(cmd=TALKER, cached_output=True)
            return LaunchDescription([process, ReadyToTest()]), process

        pids = set()

        @pytest.mark.launch(fixture=shared)
        def test_one(shared, launch_context):
            assert tools.wait_for_output_sync(launch_context, shared[1], lambda text: "hello" in text, timeout=30)
            pids.add(shared[1].process_details["pid"])

        @pytest.mark.launch(fixture=shared)
        def test_two(shared, launch_context):
            assert shared[1].return_code is None
            yield
            assert shared[1].return_code == 0

        @pytest.mark.launch(fixture=shared)
        def test_three(shared, launch_context):
            assert shared[1].return_code is None
            pids.add(shared[1].process_details["pid"])
            assert len(pids) == 1
        """
    )
    assert [outcome for _, outcome in outcomes] == ["passed"] * 4, text
    assert [name.partition("[")[0] for name, _ in outcomes] == ["test_one", "test_two", "test_three", "test_two"]


def test_tests_of_a_class_can_share_a_service(run):
    outcomes, text = run(
        """
        @launch_pytest.fixture(scope="class")
        def shared():
            process = ExecuteProcess(cmd=TALKER, cached_output=True)
            return LaunchDescription([process, ReadyToTest()]), process

        class TestTogether:
            pids = set()

            @pytest.mark.launch(fixture=shared)
            def test_one(self, shared, launch_context):
                assert tools.wait_for_start_sync(launch_context, shared[1], timeout=30)
                self.pids.add(shared[1].process_details["pid"])

            @pytest.mark.launch(fixture=shared)
            @pytest.mark.parametrize("number", [1, 2])
            def test_two(self, shared, launch_context, number):
                self.pids.add(shared[1].process_details["pid"])
                assert len(self.pids) == 1
        """
    )
    assert [outcome for _, outcome in outcomes] == ["passed"] * 3, text


def test_each_test_has_a_service_of_its_own_by_default(run):
    outcomes, text = run(
        """
        seen = []

        @pytest.mark.launch(fixture=launched)
        @pytest.mark.parametrize("number", [1, 2])
        def test_own(launch_service, talker, number):
            assert launch_service not in seen and talker.return_code is None
            seen.append(launch_service)
        """
    )
    assert outcomes == [("test_own[1]", "passed"), ("test_own[2]", "passed")], text


def test_tests_begin_when_the_description_says_so(run):
    outcomes, text = run(
        """
        @launch_pytest.fixture
        def late(talker):
            first = ExecuteProcess(cmd=["sh", "-c", "sleep 0.3; exit 5"])
            return LaunchDescription([
                first, talker,
                RegisterEventHandler(OnProcessExit(target_action=first, on_exit=[ReadyToTest()])),
            ]), first

        @pytest.mark.launch(fixture=late)
        def test_late(late):
            assert late[1].return_code == 5

        @launch_pytest.fixture
        def unsaid(talker):
            return LaunchDescription([talker])

        @pytest.mark.launch(fixture=unsaid)
        def test_unsaid(talker, launch_context):
            assert tools.wait_for_start_sync(launch_context, talker, timeout=30)
        """
    )
    assert outcomes == [("test_late", "passed"), ("test_unsaid", "passed")], text


def test_ready_to_test_is_the_same_from_launch_testing_and_harmless_without_tests(run, bench):
    result = bench.launch("ReadyToTest(), LogInfo(msg='on')", setup="from launch_testing.actions import ReadyToTest")
    assert (result.code, result.said()) == (0, ["on"])
    outcomes, text = run(
        """
        import launch_testing.actions

        @launch_pytest.fixture
        def other(talker):
            return LaunchDescription([talker, launch_testing.actions.ReadyToTest()])

        @pytest.mark.launch(fixture=other)
        def test_other(launch_context):
            pass
        """
    )
    assert outcomes == [("test_other", "passed")], text


def test_a_service_that_ends_by_itself_leaves_its_processes_to_be_asked(run):
    outcomes, text = run(
        """
        @launch_pytest.fixture(auto_shutdown=False)
        def ending():
            process = ExecuteProcess(cmd=["sh", "-c", "echo done; exit 3"], cached_output=True)
            return LaunchDescription([process]), process

        @pytest.mark.launch(fixture=ending)
        def test_ended(ending, launch_context):
            process = ending[1]
            assert tools.wait_for_exit_sync(launch_context, process, timeout=30)
            assert process.return_code == 3
            def check(text):
                assert text == "done\\n"
            tools.assert_output_sync(launch_context, process, check, timeout=30)
            def wrong(text):
                assert text == "other"
            with pytest.raises(AssertionError, match="other"):
                tools.assert_output_sync(launch_context, process, wrong, timeout=0.1)
            yield
            assert process.return_code == 3
        """
    )
    assert outcomes == [("test_ended", "passed")], text


def test_other_tests_and_fixtures_of_the_file_are_left_alone(run):
    outcomes, text = run(
        """
        def test_plain(tmp_path):
            assert tmp_path.is_dir()

        @pytest.mark.launch(fixture=launched)
        def test_with_more_fixtures(tmp_path, talker, monkeypatch):
            assert tmp_path.is_dir()
        """
    )
    assert outcomes == [("test_plain", "passed"), ("test_with_more_fixtures", "passed")], text


def test_a_fixture_that_returns_no_launch_description_is_an_error(run):
    outcomes, text = run(
        """
        @launch_pytest.fixture
        def wrong():
            return 3

        @pytest.mark.launch(fixture=wrong)
        def test_wrong():
            pass
        """
    )
    assert outcomes == [("test_wrong", "error")], text
    assert "launch description" in text
