"""What reaches a ROS node: its names, parameters, remappings and arguments."""

from __future__ import annotations


def test_a_node_is_given_name_namespace_remappings_and_arguments(reporting_node):
    result = reporting_node.launch(
        """
        DeclareLaunchArgument("a", default_value="x"),
        Node(
            package="probe",
            executable="report",
            name=["na", "me"],
            namespace=LaunchConfiguration("a"),
            remappings=[("topic", ["other_", LaunchConfiguration("a")])],
            arguments=["first", LaunchConfiguration("a")],
            ros_arguments=["--log-level", "debug"],
            output="screen",
        ),
        """
    )
    report = result.reports()["/x/name"]
    assert result.code == 0
    assert report["arguments"] == ["first", "x"]
    assert report["topic"] == "/x/other_x"


def test_a_node_without_a_name_keeps_its_own_and_its_process_is_named_after_the_program(reporting_node):
    result = reporting_node.launch(
        """
        Node(package="probe", executable="report", output="screen"),
        Node(package="probe", executable="report", output="screen", exec_name="nice", name="b"),
        """
    )
    assert result.code == 0
    assert set(result.reports()) == {"/unnamed", "/b"}
    assert any(line.startswith("[report-1] REPORT") for line in result.lines)
    assert any(line.startswith("[nice-2] REPORT") for line in result.lines)


def test_a_node_can_be_a_program_outside_of_any_package(reporting_node):
    program = reporting_node.prefix / "lib" / "probe" / "report"
    result = reporting_node.launch(f'Node(executable={str(program)!r}, name="loose", output="screen")')
    assert result.code == 0
    assert "/loose" in result.reports()


def test_values_keep_their_types(reporting_node):
    result = reporting_node.launch(
        """
        DeclareLaunchArgument("whole", default_value="3"),
        DeclareLaunchArgument("real", default_value="2.5"),
        DeclareLaunchArgument("word", default_value="abc"),
        DeclareLaunchArgument("truth", default_value="true"),
        DeclareLaunchArgument("several", default_value="[1.0, 2.0]"),
        DeclareLaunchArgument("nothing", default_value=""),
        Node(
            package="probe",
            executable="report",
            name="n",
            output="screen",
            parameters=[{
                "bool": True,
                "int": 1,
                "float": 1.0,
                "str": "text",
                "str_of_digits": "1",
                "str_of_truth": "true",
                "ints": [1, 2],
                "floats": [1.0, 2.0],
                "strs": ["a", "b"],
                "from_whole": LaunchConfiguration("whole"),
                "from_real": LaunchConfiguration("real"),
                "from_word": LaunchConfiguration("word"),
                "from_truth": LaunchConfiguration("truth"),
                "from_several": LaunchConfiguration("several"),
                "from_nothing": LaunchConfiguration("nothing"),
                "from_row": ["x", LaunchConfiguration("whole")],
                "forced_str": ParameterValue(LaunchConfiguration("whole"), value_type=str),
                "forced_float": ParameterValue(LaunchConfiguration("whole"), value_type=float),
                "forced_int": ParameterValue(LaunchConfiguration("whole"), value_type=int),
                "forced_bool": ParameterValue(LaunchConfiguration("truth"), value_type=bool),
                "plain": ParameterValue(5),
                "nested": {"deep": {"k": LaunchConfiguration("whole")}, "flat": "f"},
                ("key_", LaunchConfiguration("word")): "substituted",
            }],
        ),
        """
    )
    assert result.code == 0
    expected = {
        "bool": True,
        "int": 1,
        "float": 1.0,
        "str": "text",
        "str_of_digits": "1",
        "str_of_truth": "true",
        "ints": [1, 2],
        "floats": [1.0, 2.0],
        "strs": ["a", "b"],
        "from_whole": 3,
        "from_real": 2.5,
        "from_word": "abc",
        "from_truth": True,
        "from_several": [1.0, 2.0],
        "from_nothing": "",
        "from_row": "x3",
        "forced_str": "3",
        "forced_float": 3.0,
        "forced_int": 3,
        "forced_bool": True,
        "plain": 5,
        "nested.deep.k": 3,
        "nested.flat": "f",
        "key_abc": "substituted",
    }
    found = result.reports()["/n"]["parameters"]
    assert {name: found[name] for name in expected} == expected
    assert {name: type(found[name]) for name in expected} == {name: type(value) for name, value in expected.items()}


def test_the_later_of_files_and_dictionaries_goes_before_the_earlier(reporting_node):
    path = reporting_node.share / "p.yaml"
    path.write_text("/**:\n  ros__parameters:\n    a: 1\n    b: 1\n    c: 1\n")
    result = reporting_node.launch(
        """
        Node(
            package="probe",
            executable="report",
            name="n",
            output="screen",
            parameters=[{"a": 0}, PathJoinSubstitution([FindPackageShare("probe"), "p.yaml"]), {"b": 2}, {"c": 3}],
        ),
        """
    )
    assert result.code == 0
    found = result.reports()["/n"]["parameters"]
    assert (found["a"], found["b"], found["c"]) == (1, 2, 3)


def test_a_dictionary_reaches_a_node_in_a_namespace_and_no_other(reporting_node):
    result = reporting_node.launch(
        """
        GroupAction([
            PushRosNamespace("one"),
            PushRosNamespace("two"),
            Node(package="probe", executable="report", name="a", output="screen", parameters=[{"p": "a"}]),
            Node(package="probe", executable="report", name="b", namespace="three", output="screen"),
            Node(package="probe", executable="report", name="c", namespace="/absolute", output="screen"),
            Node(package="probe", executable="report", name="d", namespace="", output="screen"),
        ]),
        Node(package="probe", executable="report", name="e", output="screen"),
        """
    )
    assert result.code == 0
    reports = result.reports()
    assert set(reports) == {"/one/two/a", "/one/two/three/b", "/absolute/c", "/one/two/d", "/e"}
    assert [name for name, report in reports.items() if "p" in report["parameters"]] == ["/one/two/a"]


def test_a_parameter_for_all_nodes_holds_in_its_group_and_yields_to_that_of_the_node(reporting_node):
    result = reporting_node.launch(
        """
        GroupAction([
            SetParameter("all", 5),
            SetParameter("use_sim_time", True),
            Node(package="probe", executable="report", name="a", output="screen"),
            Node(package="probe", executable="report", name="b", output="screen", parameters=[{"all": 6}]),
        ]),
        Node(package="probe", executable="report", name="c", output="screen"),
        """
    )
    assert result.code == 0
    a, b, c = (result.reports()[name]["parameters"] for name in ("/a", "/b", "/c"))
    assert (a["all"], a["use_sim_time"]) == (5, True)
    assert (b["all"], b["use_sim_time"]) == (6, True)
    assert "all" not in c and c["use_sim_time"] is False


def test_a_parameter_file_that_is_missing_is_a_warning_that_names_it(reporting_node):
    result = reporting_node.launch(
        'Node(package="probe", executable="report", name="n", output="screen", parameters=["/no/such.yaml"])'
    )
    assert result.code == 0
    expected = "[WARNING] [launch_ros.actions.node]: Parameter file path is not a file: /no/such.yaml"
    assert expected in result.lines and "/n" in result.reports()


def test_what_no_parameter_can_be_is_an_error(reporting_node):
    for value in ("None", "[1, 'a']", "ParameterValue(LaunchConfiguration('word'), value_type=int)"):
        result = reporting_node.launch(
            f'Node(package="probe", executable="report", parameters=[{{"x": {value}}}])', "word:=abc"
        )
        assert result.code == 1
        assert "Caught exception in launch" in result.text and "process started" not in result.text


def test_an_unknown_package_program_or_a_bad_name_is_an_error_that_names_it(reporting_node):
    for options, expected in (
        ('package="no_such_package", executable="report"', "package 'no_such_package' not found"),
        ('package="probe", executable="none"', "executable 'none' not found on the libexec directory"),
        ('package="probe", executable="report", name="bad name"', "Invalid node name"),
        ('package="probe", executable="report", namespace="bad name"', "Invalid namespace"),
    ):
        result = reporting_node.launch(f"Node({options})")
        assert result.code == 1
        assert expected in result.text
