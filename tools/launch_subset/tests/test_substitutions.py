"""What text comes out of substitutions."""

from __future__ import annotations

import math
import shutil

import pytest
from launch import LaunchContext
from launch.substitutions import (
    AndSubstitution,
    EnvironmentVariable,
    EqualsSubstitution,
    FindExecutable,
    IfElseSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
    NotSubstitution,
    OrSubstitution,
    PathJoinSubstitution,
    PythonExpression,
    SubstitutionFailure,
    TextSubstitution,
)
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from launch_ros.substitutions import ExecutableInPackage, FindPackagePrefix, FindPackageShare


@pytest.fixture
def context():
    """A context with two launch configurations."""
    context = LaunchContext()
    context.launch_configurations.update({"a": "1", "name": "a"})
    return context


@pytest.mark.parametrize(
    ("substitution", "expected"),
    [
        (TextSubstitution(text="t"), "t"),
        (LaunchConfiguration("a"), "1"),
        (LaunchConfiguration(["na", "me"]), "a"),
        (LaunchConfiguration(LaunchConfiguration("name")), "1"),
        (LaunchConfiguration("none", default="d"), "d"),
        (LaunchConfiguration("none", default=["d", LaunchConfiguration("a")]), "d1"),
        (LaunchConfiguration("none", default=5), "5"),
        (EnvironmentVariable("MBPL_NONE", default_value="e"), "e"),
        (EnvironmentVariable("MBPL_NONE", default_value=["e", LaunchConfiguration("a")]), "e1"),
        (EnvironmentVariable("MBPL_SET"), "set"),
        (PathJoinSubstitution(["/x", LaunchConfiguration("a"), "y.yaml"]), "/x/1/y.yaml"),
        (PathJoinSubstitution(["/x", "/y"]), "/y"),
        (PythonExpression("1 + 1"), "2"),
        (PythonExpression(["'", LaunchConfiguration("a"), "' == '1'"]), "True"),
        (PythonExpression("cos(pi)"), "-1.0"),
        (PythonExpression("math.pi"), str(math.pi)),
        (PythonExpression("os.sep", ["os"]), "/"),
        (FindExecutable(name="sh"), shutil.which("sh")),
        (NotSubstitution("true"), "false"),
        (NotSubstitution("0"), "true"),
        (AndSubstitution("true", "1"), "true"),
        (AndSubstitution("true", "0"), "false"),
        (OrSubstitution("false", "1"), "true"),
        (OrSubstitution("false", "0"), "false"),
        (EqualsSubstitution(LaunchConfiguration("a"), "1"), "true"),
        (EqualsSubstitution(LaunchConfiguration("a"), 1), "true"),
        (EqualsSubstitution("1", "1.0"), "true"),
        (EqualsSubstitution("true", "True"), "true"),
        (EqualsSubstitution("a", "b"), "false"),
        (EqualsSubstitution(None, ""), "true"),
        (NotEqualsSubstitution("a", "b"), "true"),
        (NotEqualsSubstitution("a", "a"), "false"),
        (IfElseSubstitution("true", "yes", "no"), "yes"),
        (IfElseSubstitution("false", "yes", "no"), "no"),
        (IfElseSubstitution("false", "yes"), ""),
        (IfElseSubstitution(EqualsSubstitution(LaunchConfiguration("a"), "1"), else_value="no"), ""),
    ],
    ids=repr,
)
def test_a_substitution_comes_to_its_text(context, monkeypatch, substitution, expected):
    monkeypatch.setenv("MBPL_SET", "set")
    monkeypatch.delenv("MBPL_NONE", raising=False)
    assert substitution.perform(context) == expected


@pytest.mark.parametrize(
    ("substitution", "named"),
    [
        (LaunchConfiguration("none"), "launch configuration 'none' does not exist"),
        (EnvironmentVariable("MBPL_NONE"), "environment variable 'MBPL_NONE' does not exist"),
        (FindExecutable(name="no_such_program"), "not found on the PATH"),
    ],
    ids=repr,
)
def test_a_substitution_without_a_value_is_an_error_that_says_so(context, substitution, named):
    with pytest.raises(SubstitutionFailure, match=named):
        substitution.perform(context)


def test_an_unknown_package_is_an_error_that_names_it(context):
    with pytest.raises(Exception, match="package 'no_such_package' not found"):
        FindPackageShare("no_such_package").perform(context)


def test_an_unknown_program_of_a_package_is_an_error_that_names_it(context, bench, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", bench.environment["AMENT_PREFIX_PATH"])
    with pytest.raises(SubstitutionFailure, match="executable 'nope' not found on the libexec directory"):
        ExecutableInPackage(executable="nope", package="probe").perform(context)


def test_an_error_in_an_expression_is_not_hidden(context):
    with pytest.raises(ZeroDivisionError):
        PythonExpression("1 / 0").perform(context)


def test_packages_and_their_programs_are_found_in_the_ament_index(context, bench, monkeypatch):
    program = bench.add_program("tool", "")
    monkeypatch.setenv("AMENT_PREFIX_PATH", bench.environment["AMENT_PREFIX_PATH"])
    assert FindPackagePrefix("probe").perform(context) == str(bench.prefix)
    assert FindPackageShare(["pro", "be"]).perform(context) == str(bench.share)
    assert ExecutableInPackage(executable="tool", package="probe").perform(context) == str(program)


def test_texts_and_substitutions_in_a_row_are_joined_without_a_gap(context):
    parts = normalize_to_list_of_substitutions(["a=", LaunchConfiguration("a"), ";"])
    assert perform_substitutions(context, parts) == "a=1;"


@pytest.mark.parametrize("wrong", [3, None, [3], ["a", None]])
def test_what_is_neither_text_nor_substitution_is_refused(wrong):
    with pytest.raises(TypeError):
        normalize_to_list_of_substitutions(wrong)
