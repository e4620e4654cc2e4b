"""What a person should see when a joint moves, by the robot's model."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.tasks.task import Task

#: Axes of the model's world, which is usually the robot's base.
AXES = ("x", "y", "z")
#: m below which a frame counts as standing still.
STILL = 1e-4


def expected_motion(task: Task, joint: str, motion: float, q: Array) -> str:
    """In words, in world axes: the joint's axis, and where the frame that the task is about goes.

    Args:
        task: whose robot and frame are meant; its last frame when its success is about none.
        joint: name of a driven joint.
        motion: rad or m in the positive direction.
        q: (nv,) where the robot is.
    """
    robot = task.robot
    i = robot.joint_names.index(joint)
    frame = task.success_frame or robot.frame_names[-1]
    jacobian = robot.kinematics.motion(frame, q).jacobians[0][:, i]
    turning = np.linalg.norm(jacobian[3:]) > 0.5
    axis = jacobian[3:] if turning else jacobian[:3]
    text = f"'{joint}' {'turns about' if turning else 'slides along'} ({', '.join(f'{v:+.2f}' for v in axis)})"
    shift = motion * jacobian[:3]
    if np.linalg.norm(shift) < STILL:
        return f"{text}; '{frame}' stays where it is"
    parts = [f"{1e3 * shift[k]:+.0f} mm along {AXES[k]}" for k in np.argsort(-np.abs(shift)) if abs(shift[k]) > STILL]
    return f"{text}; '{frame}' moves {', '.join(parts)}"
