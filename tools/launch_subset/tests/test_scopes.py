"""Where arguments, configurations, environment and files hold."""

from __future__ import annotations

import pytest


def test_a_group_keeps_its_configurations_and_environment_to_itself(bench):
    result = bench.launch(
        """
        SetLaunchConfiguration("a", "outer"),
        SetEnvironmentVariable("E", "outer"),
        GroupAction([
            SetLaunchConfiguration("a", "inner"),
            SetLaunchConfiguration("new", "inner"),
            SetEnvironmentVariable("E", "inner"),
            LogInfo(msg=[LaunchConfiguration("a"), " ", EnvironmentVariable("E")]),
            UnsetEnvironmentVariable("E"),
            LogInfo(msg=EnvironmentVariable("E", default_value="unset")),
        ]),
        LogInfo(msg=[LaunchConfiguration("a"), " ", EnvironmentVariable("E")]),
        LogInfo(msg=LaunchConfiguration("new", default="gone")),
        """
    )
    assert (result.code, result.said()) == (0, ["inner inner", "unset", "outer outer", "gone"])


def test_a_group_without_scope_changes_what_is_outside(bench):
    result = bench.launch(
        """
        SetLaunchConfiguration("a", "outer"),
        GroupAction([SetLaunchConfiguration("a", "inner")], scoped=False),
        LogInfo(msg=LaunchConfiguration("a")),
        """
    )
    assert (result.code, result.said()) == (0, ["inner"])


def test_a_group_can_be_given_configurations(bench):
    result = bench.launch(
        """
        GroupAction([LogInfo(msg=LaunchConfiguration("given"))], launch_configurations={"given": "for the group"}),
        LogInfo(msg=LaunchConfiguration("given", default="gone")),
        """
    )
    assert (result.code, result.said()) == (0, ["for the group", "gone"])


@pytest.mark.parametrize("value", ["true", "True", "1", "false", "FALSE", "0"])
def test_conditions_choose(bench, value):
    result = bench.launch(
        """
        LogInfo(msg="if", condition=IfCondition(LaunchConfiguration("c"))),
        LogInfo(msg="unless", condition=UnlessCondition(LaunchConfiguration("c"))),
        GroupAction([LogInfo(msg="group")], condition=IfCondition(LaunchConfiguration("c"))),
        """,
        f"c:={value}",
    )
    expected = ["if", "group"] if value in ("true", "True", "1") else ["unless"]
    assert (result.code, result.said()) == (0, expected)


def test_a_condition_that_is_neither_true_nor_false_is_an_error_that_says_what_is_allowed(bench):
    result = bench.launch('LogInfo(msg="never", condition=IfCondition("maybe"))')
    assert result.code == 1
    assert "expected one of [true, 1, false, 0] but got 'maybe'" in result.text


def test_an_included_file_takes_arguments_and_shares_its_configurations(bench):
    included = bench.write(
        """
        DeclareLaunchArgument("a"),
        DeclareLaunchArgument("b", default_value="default"),
        LogInfo(msg=[LaunchConfiguration("a"), " ", LaunchConfiguration("b"), " ", LaunchConfiguration("outer")]),
        LogInfo(msg=LaunchConfiguration("undeclared")),
        SetLaunchConfiguration("set", "inside"),
        """,
        name="included.launch.py",
    )
    result = bench.launch(
        f"""
        SetLaunchConfiguration("outer", "o"),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource([{str(included.parent)!r}, "/included.launch.py"]),
            launch_arguments={{"a": ["x", LaunchConfiguration("outer")], "undeclared": "u"}}.items(),
        ),
        LogInfo(msg=[LaunchConfiguration("a"), " ", LaunchConfiguration("set")]),
        """
    )
    assert (result.code, result.said()) == (0, ["xo default o", "u", "xo inside"])


def test_an_included_file_in_a_group_leaves_no_trace(bench):
    included = bench.write('DeclareLaunchArgument("a", default_value="x")', name="included.launch.py")
    result = bench.launch(
        f"""
        GroupAction([IncludeLaunchDescription(PythonLaunchDescriptionSource({str(included)!r}))]),
        LogInfo(msg=LaunchConfiguration("a", default="gone")),
        """
    )
    assert (result.code, result.said()) == (0, ["gone"])


def test_a_required_argument_of_an_included_file_that_is_missing_is_an_error(bench):
    included = bench.write('DeclareLaunchArgument("needed", description="why")', name="included.launch.py")
    result = bench.launch(f"IncludeLaunchDescription(PythonLaunchDescriptionSource({str(included)!r}))")
    assert result.code == 1
    expected = "Included launch description missing required argument 'needed' (description: 'why'), given: []"
    assert expected in result.text


def test_a_required_argument_has_to_be_given_to_the_include_even_if_it_is_set_outside(bench):
    included = bench.write('DeclareLaunchArgument("needed")', name="included.launch.py")
    result = bench.launch(
        f"""
        DeclareLaunchArgument("needed"),
        IncludeLaunchDescription(PythonLaunchDescriptionSource({str(included)!r})),
        """,
        "needed:=outside",
    )
    assert result.code == 1
    assert "missing required argument 'needed'" in result.text


def test_a_file_that_cannot_be_included_is_an_error_that_names_it(bench):
    result = bench.launch('IncludeLaunchDescription(PythonLaunchDescriptionSource("/no/such.launch.py"))')
    assert result.code == 1
    assert "/no/such.launch.py" in result.text


def test_each_file_knows_its_own_directory(bench):
    (bench.directory / "sub").mkdir()
    included = bench.write("LogInfo(msg=ThisLaunchFileDir())", name="sub/included.launch.py")
    result = bench.launch(
        f"""
        LogInfo(msg=ThisLaunchFileDir()),
        IncludeLaunchDescription(PythonLaunchDescriptionSource({str(included)!r})),
        """
    )
    here = str(bench.directory)
    assert (result.code, result.said()) == (0, [here, f"{here}/sub"])


def test_a_function_sees_context_and_arguments(bench):
    result = bench.launch(
        """
        SetLaunchConfiguration("a", "1"),
        OpaqueFunction(function=look, args=["x"], kwargs={"more": "y"}),
        LogInfo(msg=LaunchConfiguration("later")),
        """,
        setup="""
        def look(context, first, more):
            value = LaunchConfiguration("a").perform(context)
            return [LogInfo(msg=f"{first} {more} {value}"), SetLaunchConfiguration("later", "2")]
        """,
    )
    assert (result.code, result.said()) == (0, ["x y 1", "2"])
