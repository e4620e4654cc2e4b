"""`ros2 launch` and `ros2 run`, as a user types them."""

from __future__ import annotations

import pytest


def test_a_launch_file_is_run_by_its_path(bench):
    result = bench.launch('LogInfo(msg="here")')
    assert (result.code, result.said()) == (0, ["here"])


def test_a_launch_file_is_found_in_its_package_below_the_share_directory(bench):
    path = bench.write('LogInfo(msg="from the package")')
    (bench.share / "launch").mkdir()
    path.rename(bench.share / "launch" / "deep.launch.py")
    result = bench.ros2("launch", "probe", "deep.launch.py")
    assert (result.code, result.said()) == (0, ["from the package"])


def test_arguments_reach_the_launch_file_and_of_two_for_a_name_the_last_counts(bench):
    entities = 'DeclareLaunchArgument("a", default_value="x"), LogInfo(msg=["a=", LaunchConfiguration("a")])'
    assert bench.launch(entities).said() == ["a=x"]
    assert bench.launch(entities, "a:=1", "a:=2").said() == ["a=2"]
    assert bench.launch(entities, "a:=b:=c").said() == ["a=b:=c"]


def test_an_argument_that_is_not_declared_is_set_all_the_same(bench):
    result = bench.launch('LogInfo(msg=LaunchConfiguration("undeclared"))', "undeclared:=7")
    assert (result.code, result.said()) == (0, ["7"])


@pytest.mark.parametrize("word", ["foo", "foo=1", ":=1", "foo:="])
def test_a_malformed_argument_is_an_error_that_shows_the_form(bench, word):
    result = bench.launch('LogInfo(msg="never")', word)
    assert result.code == 1
    assert f"malformed launch argument '{word}', expected format '<name>:=<value>'" in result.text
    assert not result.said()


def test_a_required_argument_that_is_missing_is_an_error_that_names_it(bench):
    result = bench.launch('DeclareLaunchArgument("speed", description="in m/s"), LogInfo(msg="never")')
    assert result.code == 1
    assert "'speed'" in result.text and "in m/s" in result.text
    assert not result.said()


def test_a_value_that_is_not_among_the_choices_is_an_error_that_names_them(bench):
    result = bench.launch('DeclareLaunchArgument("c", choices=["a", "b"]), LogInfo(msg="never")', "c:=q")
    assert result.code == 1
    assert "Argument \"c\" provided value \"q\" is not valid. Valid options are: ['a', 'b']" in result.text
    assert not result.said()


def test_the_arguments_are_shown_with_their_descriptions_defaults_and_choices(bench):
    included = bench.write('DeclareLaunchArgument("inner", default_value="5")', name="included.launch.py")
    result = bench.launch(
        f"""
        DeclareLaunchArgument("x", default_value="1", description="the x"),
        DeclareLaunchArgument("needed", description="no default"),
        DeclareLaunchArgument("bare", default_value=["a", LaunchConfiguration("x")]),
        DeclareLaunchArgument("c", default_value="a", choices=["a", "b"]),
        DeclareLaunchArgument("d", default_value="a", choices=["a", "b"], description="letter"),
        GroupAction([DeclareLaunchArgument("grouped", default_value="g")]),
        IncludeLaunchDescription(PythonLaunchDescriptionSource({str(included)!r})),
        LogInfo(msg="never"),
        """,
        "--show-args",
    )
    assert result.code == 0
    assert result.lines == [
        "Arguments (pass arguments as '<name>:=<value>'):",
        "",
        "    'x':",
        "        the x",
        "        (default: '1')",
        "",
        "    'needed':",
        "        no default",
        "",
        "    'bare':",
        "        no description given",
        "        (default: 'a' + LaunchConfig('x'))",
        "",
        "    'c':",
        "        One of: ['a', 'b']",
        "        (default: 'a')",
        "",
        "    'd':",
        "        letter. Valid choices are: ['a', 'b']",
        "        (default: 'a')",
        "",
        "    'grouped':",
        "        no description given",
        "        (default: 'g')",
        "",
        "    'inner':",
        "        no description given",
        "        (default: '5')",
    ]


def test_a_launch_file_without_arguments_says_so(bench):
    result = bench.launch("", "-s")
    assert result.code == 0
    assert "No arguments." in result.text


def test_an_unknown_package_is_an_error_that_says_where_was_searched(bench):
    result = bench.ros2("launch", "no_such_package", "x.launch.py")
    assert result.code == 1
    assert "Package 'no_such_package' not found" in result.text and str(bench.prefix) in result.text


def test_an_unknown_file_of_a_package_is_an_error_that_says_where_was_searched(bench):
    result = bench.ros2("launch", "probe", "none.launch.py")
    assert result.code == 1
    assert "file 'none.launch.py' was not found in the share directory of package 'probe'" in result.text
    assert str(bench.share) in result.text


def test_a_path_that_does_not_exist_is_an_error(bench):
    result = bench.ros2("launch", "none.launch.py")
    assert result.code == 1
    assert "'none.launch.py'" in result.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = (", "'(' was never closed"),
        ("x = 1", "does not contain the required function 'generate_launch_description()'"),
        ("def generate_launch_description():\n    raise KeyError('boo')", "boo"),
        ("def generate_launch_description():\n    return '3'", "str"),
        ("import no_such_module", "no_such_module"),
    ],
    ids=["syntax", "no function", "exception", "no description", "import"],
)
def test_a_broken_launch_file_is_an_error_that_says_what_is_broken(bench, text, expected):
    path = bench.directory / "broken.launch.py"
    path.write_text(text)
    result = bench.ros2("launch", str(path))
    assert result.code == 1
    assert expected in result.text


def test_without_a_verb_the_verbs_are_shown(bench):
    result = bench.ros2()
    assert result.code == 0
    assert "launch" in result.text and "run" in result.text


def test_an_unknown_verb_and_a_missing_package_are_errors_of_usage(bench):
    assert bench.ros2("dance").code == 2
    assert bench.ros2("launch").code == 2
    assert bench.ros2("run", "probe").code == 2


def test_log_files_are_kept_below_the_log_directory_and_the_latest_has_a_link(bench):
    result = bench.launch('LogInfo(msg="kept"), ExecuteProcess(cmd=["echo", "logged"])')
    directory = bench.logs / "latest"
    assert f"All log files can be found below {directory.resolve()}" in result.text
    text = (directory / "launch.log").read_text()
    assert "[INFO] [launch.user]: kept" in text and "[echo-1] logged" in text


def test_debug_shows_where_an_error_came_from(bench):
    result = bench.launch('LogInfo(msg=LaunchConfiguration("nope"))', "--debug")
    assert result.code == 1
    assert "Traceback" in result.text


def test_all_output_is_shown_on_request(bench):
    entities = 'ExecuteProcess(cmd=["echo", "quiet"])'
    assert "[echo-1] quiet" not in bench.launch(entities).lines
    assert "[echo-1] quiet" in bench.launch(entities, "-a").lines


def test_a_prefix_stands_in_front_of_every_process_that_has_none_of_its_own(bench):
    result = bench.launch(
        """
        ExecuteProcess(cmd=["sh", "-c", "echo $WHO"], output="screen", name="plain"),
        ExecuteProcess(cmd=["sh", "-c", "echo $WHO"], output="screen", name="own", prefix="env WHO=own"),
        """,
        "--launch-prefix",
        "env WHO=prefix",
    )
    assert "[plain-1] prefix" in result.lines and "[own-2] own" in result.lines


def test_run_hands_arguments_and_exit_code_through(bench):
    bench.add_program("args", "import sys; print(sys.argv[1:]); sys.exit(3)")
    result = bench.ros2("run", "probe", "args", "--ros-args", "-p", "a:=1")
    assert result.code == 3
    assert "['--ros-args', '-p', 'a:=1']" in result.lines
    assert "[ros2run]: Process exited with failure 3" in result.lines


def test_run_puts_a_prefix_in_front(bench):
    bench.add_program("who", "import os; print(os.environ['WHO'])")
    assert bench.ros2("run", "--prefix", "env WHO=prefix", "probe", "who").lines == ["prefix"]


def test_run_of_an_unknown_package_or_program_is_an_error(bench):
    unknown_package = bench.ros2("run", "no_such_package", "x")
    assert (unknown_package.code, unknown_package.text) == (1, "Package 'no_such_package' not found")
    unknown_program = bench.ros2("run", "probe", "none")
    assert unknown_program.code == 1
    assert "No executable found" in unknown_program.text
