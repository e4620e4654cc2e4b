"""Robot files: what is read, and what is refused with file and reason."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from mbpl_control.core import ModelError
from mbpl_control.models import RobotModel
from mbpl_control.models.loading import load_robot

URDF = """
<robot name="two">
  <link name="base"/>
  <link name="arm">
    <inertial><origin xyz="0.1 0 0"/><mass value="1"/>
      <inertia ixx="0.01" iyy="0.02" izz="0.03" ixy="0" ixz="0" iyz="0"/></inertial>
    <visual><geometry><mesh filename="package://nowhere/arm.dae"/></geometry></visual>
    <collision><geometry><box size="0.1 0.1 0.1"/></geometry></collision>
  </link>
  <link name="slider">
    <inertial><mass value="0.5"/><inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/></inertial>
  </link>
  <link name="tool"/>
  <joint name="turn" type="revolute">
    <parent link="base"/><child link="arm"/><axis xyz="0 1 0"/>
    <limit lower="-1" upper="2" effort="30" velocity="4"/><dynamics damping="0.7"/>
  </joint>
  <joint name="slide" type="prismatic">
    <parent link="arm"/><child link="slider"/><origin xyz="0.2 0 0"/><axis xyz="1 0 0"/>
    <limit lower="0" upper="0.5" effort="10" velocity="1.5"/><mimic joint="turn"/>
  </joint>
  <joint name="weld" type="fixed"><parent link="slider"/><child link="tool"/><origin xyz="0.1 0 0"/></joint>
  {extra}
</robot>
"""


def test_a_urdf_gives_joints_limits_motors_and_the_frames_of_fixed_links(make_robot) -> None:
    robot = make_robot(URDF.format(extra=""), "two.urdf")
    assert robot.joint_names == ("turn", "slide")
    assert robot.description_format == "urdf"
    assert "mimic" in robot.description
    np.testing.assert_allclose(robot.position_lower, [-1.0, 0.0])
    np.testing.assert_allclose(robot.position_upper, [2.0, 0.5])
    np.testing.assert_allclose(robot.velocity_limits, [4.0, 1.5])
    np.testing.assert_allclose(robot.action.upper, [30.0, 10.0])
    np.testing.assert_allclose(robot.action.lower, [-30.0, -10.0])
    assert robot.action.units == ("N*m", "N")
    assert [unit for block in robot.state.blocks for unit in block.units] == ["rad", "m", "rad/s", "m/s"]
    np.testing.assert_allclose(robot.kinematics.positions("tool", np.array([[0.0, 0.3]]))[0], [0.6, 0.0, 0.0])
    assert not np.any(robot.mujoco_model().geom_contype)


def test_a_mujoco_element_in_a_urdf_counts(make_robot) -> None:
    robot = make_robot(URDF.format(extra='<mujoco><option timestep="0.0007"/></mujoco>'), "two.urdf")
    assert robot.mujoco_model().opt.timestep == 0.0007
    assert "tool" in robot.frame_names


def test_only_the_joints_named_get_a_motor(make_robot) -> None:
    robot = make_robot(URDF.format(extra=""), "two.urdf", actuated=["slide"])
    assert robot.action.joint_names == ("slide",)
    with pytest.raises(ModelError, match="no joint 'elbow' to drive; it has: turn, slide"):
        make_robot(URDF.format(extra=""), "two.urdf", actuated=["elbow"])


def test_joints_to_drive_cannot_be_chosen_where_the_file_has_actuators(robot_files: Path) -> None:
    with pytest.raises(ModelError, match=r"has actuators of its own \(slider\)"):
        RobotModel.from_file(robot_files / "cartpole.xml", ["hinge"])


def test_an_mjcf_without_actuators_gets_a_motor_a_joint(make_robot) -> None:
    robot = make_robot(
        """<mujoco><worldbody><body><joint name="a" actuatorfrcrange="-3 5"/><joint name="b" type="slide"/>
        <geom size="0.1"/></body></worldbody></mujoco>"""
    )
    assert robot.action.joint_names == ("a", "b")
    np.testing.assert_array_equal(robot.action.lower, [-3.0, -np.inf])
    np.testing.assert_array_equal(robot.action.upper, [5.0, np.inf])


def test_a_file_that_is_not_there_or_not_xml_or_no_robot_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "robot.xml"
    with pytest.raises(ModelError, match=r"robot file '.*robot\.xml' does not exist"):
        load_robot(path)
    path.write_text("<mujoco><worldbody>")
    with pytest.raises(ModelError, match=r"robot\.xml: not well-formed XML: .*line 1"):
        load_robot(path)
    path.write_text("<sdf/>")
    with pytest.raises(ModelError, match=r"root element <sdf>; must be <mujoco> \(MJCF\) or <robot> \(URDF\)"):
        load_robot(path)
    path.write_text("<mujoco><worldbody><body><geom size='x'/></body></worldbody></mujoco>")
    with pytest.raises(ModelError, match="MuJoCo cannot read it"):
        load_robot(path)
    path.write_text("<robot name='r'><link name='base'/></robot>")
    with pytest.raises(ModelError, match=r"no movable joint|MuJoCo cannot read it"):
        load_robot(path)
    path.write_bytes(b"\xff\xfe\x00broken")
    with pytest.raises(ModelError, match="not well-formed XML"):
        load_robot(path)


@pytest.mark.parametrize("velocity", ["0", "-2", "fast"])
def test_a_velocity_limit_of_a_urdf_must_be_a_number_above_zero(make_robot, velocity: str) -> None:
    text = URDF.format(extra="").replace('velocity="4"', f'velocity="{velocity}"')
    with pytest.raises(ModelError, match=f"velocity limit of joint 'turn' is {velocity}; must be a number above 0"):
        make_robot(text, "two.urdf")


@pytest.mark.parametrize(
    ("data", "message"),
    [("1 2 3", r"has 3 numbers; must have 1, one a joint"), ("0", r"velocity limit of joint 'j' is 0\.0")],
)
def test_velocity_limits_of_an_mjcf_must_fit_its_joints(make_robot, data: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make_robot(
            f"""<mujoco><worldbody><body><joint name="j"/><geom size="0.1"/></body></worldbody>
            <custom><numeric name="velocity_limits" data="{data}"/></custom></mujoco>"""
        )


def test_a_model_handed_out_is_a_copy_of_ones_own(robots) -> None:
    first, second = robots["arm7"].mujoco_model(), robots["arm7"].mujoco_model(0.001)
    first.body_mass[:] = 7.0
    assert second.body_mass.max() < 7.0
    assert second.opt.timestep == 0.001
    assert isinstance(first, mujoco.MjModel)
