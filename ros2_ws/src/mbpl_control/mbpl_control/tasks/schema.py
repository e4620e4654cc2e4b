"""What a task file may say: keys, types, units and limits."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from mbpl_control.tasks.learning_schema import LearningSection
from mbpl_control.tasks.section import Count, NotNegative, Number, Positive, Section

PerNumber = NotNegative | list[NotNegative]
Vector3 = Annotated[list[Number], Field(min_length=3, max_length=3)]
Ramp = Annotated[str, Field(pattern=r"^(constant|linear|quadratic|final|(initial|final)\(\d+\))$")]


class RobotSection(Section):
    """The robot: its file, relative to the task's, or a package:// address."""

    model: str
    frames: list[str] = []
    actuators: list[str] | None = None
    backend: Literal["auto", "mujoco", "pinocchio", "generated"] = "auto"
    timestep: Positive | None = None
    substeps: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None

    @model_validator(mode="after")
    def _one_figure(self) -> RobotSection:
        if self.timestep is not None and self.substeps is not None:
            raise ValueError("timestep and substeps say the same thing; give one of them")
        return self


class StartCondition(Section):
    """A start: positions (rad or m) and velocities of all joints, at rest when not given, and a target of its own.

    `bodies` places bodies of the scene (mocap bodies of an MJCF), m.
    """

    positions: list[Number]
    velocities: list[Number] | None = None
    target: Vector3 | None = None
    bodies: dict[str, Vector3] | None = None
    name: str = ""


class StartSection(Section):
    """Start conditions for training, and those held out."""

    train: Annotated[list[StartCondition], Field(min_length=1)]
    held_out: list[StartCondition] = []


class Term(Section):
    """What every cost term has."""

    ramp: Ramp = "constant"


class StateTerm(Term):
    """½ Σ w (x ⊖ target)² on positions, on velocities, or on both."""

    term: Literal["state"]
    block: Literal["positions", "velocities", "all"] = "all"
    joints: list[str] | None = None
    weight: PerNumber
    target: list[Number] | Number = 0.0


class CosineTerm(Term):
    """Σ w (1 − cos(q − target)), rad."""

    term: Literal["cosine"]
    joints: list[str]
    weight: PerNumber
    target: list[Number] | Number = 0.0


class ActionTerm(Term):
    """½ Σ w (u − target)²; the target `gravity` is the effort that holds the start position still."""

    term: Literal["action"]
    weight: PerNumber
    target: list[Number] | Number | Literal["gravity"] = 0.0


class FramePositionTerm(Term):
    """½ Σ w (p − target)², m; the target `condition` is that of the start condition."""

    term: Literal["frame_position"]
    frame: str
    weight: PerNumber
    target: Vector3 | Literal["condition"] = "condition"


class FrameDistanceTerm(Term):
    """l2 d² + l1 √(d² + α) + log ln(d² + α), d² of one frame, or the sum of several frames' d²."""

    term: Literal["frame_distance"]
    frame: str | None = None
    frames: Annotated[list[str], Field(min_length=1)] | None = None
    offsets: list[Vector3] | None = None
    target: Vector3 | Literal["condition"] = "condition"
    l1: NotNegative = 0.0
    l2: NotNegative = 0.0
    log: NotNegative = 0.0
    alpha: Positive = 1e-5

    @model_validator(mode="after")
    def _one_key_of_frames(self) -> FrameDistanceTerm:
        if (self.frame is None) == (self.frames is None):
            raise ValueError("must name either a frame or frames")
        if self.offsets is not None and len(self.offsets) != len(self.frames or [self.frame]):
            raise ValueError("offsets must have one point a frame")
        return self


class FrameOrientationTerm(Term):
    """½ w |log(R R*ᵀ)|²; the target is a quaternion w x y z."""

    term: Literal["frame_orientation"]
    frame: str
    weight: Positive
    target: Annotated[list[Number], Field(min_length=4, max_length=4)]


class JointLimitsTerm(Term):
    """A relaxed logarithmic barrier at the position limits of the model."""

    term: Literal["joint_limits"]
    weight: Positive
    delta: Annotated[float, Field(strict=True, gt=0.0, lt=1.0)] = 0.1


AnyTerm = Annotated[
    StateTerm
    | CosineTerm
    | ActionTerm
    | FramePositionTerm
    | FrameDistanceTerm
    | FrameOrientationTerm
    | JointLimitsTerm,
    Field(discriminator="term"),
]
FromModel = Literal["from_model"] | Positive | list[Positive]


class LimitsSection(Section):
    """Limits on the robot; `from_model`, or numbers that may only tighten what the model says.

    `effort` is that of the actuators' interface, `effort_rate` its change per second. A soft zone of `none` leaves the
    position limits to the robot itself, e.g. in simulation, where the joint stops are part of what is learned.
    """

    effort: FromModel = "from_model"
    velocity: FromModel = "from_model"
    effort_rate: Positive | list[Positive] | None = None
    position_soft_zone: Positive | Literal["none"] | None = None


class SuccessSection(Section):
    """When a trial counts: a frame within a distance of the target, or joints within one of their angles; m or rad."""

    frame: str | None = None
    target: Vector3 | Literal["condition"] | None = None
    joints: list[str] | None = None
    angles: list[Number] | None = None
    within: Positive
    over_last: Count = 1

    @model_validator(mode="after")
    def _one_kind(self) -> SuccessSection:
        if (self.frame is None) == (self.joints is None):
            raise ValueError("must name either a frame or joints")
        if self.joints is not None and self.target is not None:
            raise ValueError("target belongs to a frame; joints have angles")
        if self.frame is not None and self.angles is not None:
            raise ValueError("angles belong to joints; a frame has a target")
        if self.joints is not None and not len(self.angles or []) == len(self.joints) > 0:
            raise ValueError("angles must have one number a joint, and there must be a joint")
        return self


class MpcSection(Section):
    """Receding horizon: how far it looks (steps), how often it plans (Hz), iterations a plan."""

    horizon: Annotated[int, Field(strict=True, ge=2)] = 40
    rate: Positive = 20.0
    iterations: Count = 2


class PlannerSection(Section):
    """Options of iLQR and of the law it makes."""

    max_iterations: Count = 300
    cost_tolerance: Positive = 1e-7
    gradient_tolerance: Positive = 1e-4
    hessian: Literal["exact", "gauss_newton"] = "gauss_newton"
    form: Literal["auto", "forward", "inverse"] = "auto"
    regularization: NotNegative = 0.0
    execution: Literal["zero_order", "continuous"] = "continuous"
    end_rule: Literal["hold", "fallback", "repeat_last"] = "hold"
    temperature: NotNegative = 0.0
    initial_actions: Literal["zero", "gravity"] = "gravity"
    initial_noise: NotNegative = 0.0
    mpc: MpcSection = MpcSection()


class NoiseSection(Section):
    """Standard deviations of simulated sensors."""

    position: NotNegative = 0.0
    velocity: NotNegative = 0.0


#: Blocks on a frame as a file names them, and the kinds of blocks they become.
FRAME_BLOCKS = {
    "frame_positions": "frame_position",
    "frame_velocities": "frame_velocity",
    "frame_offsets": "frame_offset",
}
_BLOCK = re.compile(rf"^(joint_positions|joint_velocities|({'|'.join(FRAME_BLOCKS)})\([^()]+\))$")


class TaskFile(Section):
    """A whole task file."""

    extends: str | None = None
    name: str | None = None
    description: str = ""
    robot: RobotSection
    horizon: Annotated[int, Field(strict=True, ge=1, le=100_000)]
    dt: Annotated[float, Field(strict=True, gt=0.0, le=10.0)]
    state: list[str] = ["joint_positions", "joint_velocities"]
    observation: list[str] | None = None
    target: Vector3 | None = None
    start: StartSection
    cost: Annotated[list[AnyTerm], Field(min_length=1)]
    limits: LimitsSection = LimitsSection()
    success: SuccessSection | None = None
    planner: PlannerSection = PlannerSection()
    noise: NoiseSection = NoiseSection()
    learning: LearningSection = LearningSection()

    @field_validator("state", "observation")
    @classmethod
    def _known_blocks(cls, value: list[str] | None, info: ValidationInfo) -> list[str] | None:
        of_targets = info.field_name == "observation"
        for entry in value or ():
            if not _BLOCK.match(entry) or (entry.startswith("frame_offsets") and not of_targets):
                names = [*("joint_positions", "joint_velocities"), "frame_positions(FRAME)", "frame_velocities(FRAME)"]
                names += ["frame_offsets(FRAME)"] if of_targets else []
                raise ValueError(f"'{entry}' must be {', '.join(names[:-1])} or {names[-1]}")
        if value is not None and (not value or len(set(value)) != len(value)):
            raise ValueError("there must be a block, and each may come once")
        return value


def block_frame(entry: str) -> tuple[str, str | None]:
    """Kind of a block, and its frame: "frame_positions(tip)" → ("frame_position", "tip")."""
    kind, _, rest = entry.partition("(")
    return (FRAME_BLOCKS[kind], rest.rstrip(")")) if rest else (kind, None)
