"""Draw docs/images/graph-light.svg and graph-dark.svg: the nodes of the ROS graph and what they tell each other.

    python docs/images/graph.py

Standard library only. A node's place, its texts and the way of each arrow stand in the tables below.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

WIDTH, HEIGHT = 1000, 490
FONT = "-apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"


class Theme(NamedTuple):
    """Colours of one picture."""

    ink: str
    faint: str
    box: str
    edge: str
    control: str
    control_box: str
    source: str
    source_box: str


THEMES = {
    "light": Theme("#1f2328", "#59636e", "#f6f8fa", "#afb8c1", "#0969da", "#ddf4ff", "#bc4c00", "#fff1e5"),
    "dark": Theme("#e6edf3", "#9198a1", "#161b22", "#3d444d", "#58a6ff", "#10243e", "#f0883e", "#2d1c10"),
}


class Box(NamedTuple):
    """A node: left, top, width, height, its name, what it does, and the kind that decides its colour."""

    x: int
    y: int
    w: int
    h: int
    name: str
    does: str
    kind: str = "plain"


BOXES = (
    Box(20, 210, 190, 76, "mujoco_sim", "or your robot's bridge"),
    Box(350, 210, 180, 76, "state_estimator", "raw, model-free, EKF"),
    Box(680, 210, 250, 76, "controller_manager", "law → blend → limits → command", "control"),
    Box(560, 40, 170, 62, "ilqr_controller", "plans once, when asked", "source"),
    Box(770, 40, 170, 62, "mpc_controller", "replans all the time", "source"),
    Box(20, 380, 190, 62, "bag_recorder", "all topics, a bag a trial"),
    Box(350, 380, 180, 62, "trial_runner", "start, plan, run, hold"),
    Box(720, 380, 210, 62, "mbpl", "or plain ROS services"),
)


class Arrow(NamedTuple):
    """Corners of its way, the text beside it and where that stands, and the kind that decides its colour."""

    corners: tuple[tuple[int, int], ...]
    text: str
    at: tuple[int, int]
    anchor: str = "middle"
    kind: str = "plain"


ARROWS = (
    Arrow(((210, 236), (346, 236)), "joint_states", (278, 227)),
    Arrow(((530, 236), (676, 236)), "state", (603, 227), kind="control"),
    Arrow(((680, 268), (604, 268), (604, 318), (115, 318), (115, 290)), "joint_commands", (330, 336), kind="control"),
    Arrow(((645, 102), (645, 156), (765, 156), (765, 206)), "controller", (660, 147), "start", "source"),
    Arrow(((855, 102), (855, 206)), "controller", (865, 147), "start", "source"),
    Arrow(((440, 210), (440, 71), (556, 71)), "state", (450, 147), "start"),
    Arrow(((825, 380), (825, 290)), "switch, estop", (835, 342), "start"),
    Arrow(((720, 411), (534, 411)), "run_trial", (627, 402)),
    Arrow(((490, 380), (490, 350), (735, 350), (735, 290)), "switch", (650, 342)),
    Arrow(((350, 411), (214, 411)), "start, stop", (282, 402)),
    Arrow(((390, 380), (390, 356), (62, 356), (62, 290)), "reset", (200, 372)),
    Arrow(((440, 442), (440, 470), (980, 470), (980, 71), (944, 71)), "plan", (710, 464)),
)


def main() -> None:
    """Write both files."""
    for name, theme in THEMES.items():
        path = Path(__file__).with_name(f"graph-{name}.svg")
        path.write_text(picture(theme), encoding="utf-8")
        print(f"written to {path}")


def picture(theme: Theme) -> str:
    """The whole picture."""
    colours = {"plain": theme.faint, "control": theme.control, "source": theme.source}
    heads = "".join(
        f'<marker id="{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{colour}"/></marker>'
        for kind, colour in colours.items()
    )
    parts = [arrow(a, colours[a.kind]) for a in ARROWS] + [box(b, theme) for b in BOXES]
    label = "The ROS graph: robot, estimator, manager, planners, trial runner, recorder"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" '
        f'font-family="{FONT}">\n<defs>{heads}</defs>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def box(b: Box, theme: Theme) -> str:
    """A rounded box with two lines of text."""
    fill, edge = {
        "plain": (theme.box, theme.edge),
        "control": (theme.control_box, theme.control),
        "source": (theme.source_box, theme.source),
    }[b.kind]
    middle, centre = b.x + b.w // 2, b.y + b.h // 2
    return (
        f'<rect x="{b.x}" y="{b.y}" width="{b.w}" height="{b.h}" rx="9" fill="{fill}" stroke="{edge}" '
        f'stroke-width="1.5"/>'
        f'<text x="{middle}" y="{centre - 5}" text-anchor="middle" font-family="{MONO}" font-size="16" '
        f'font-weight="600" fill="{theme.ink}">{b.name}</text>'
        f'<text x="{middle}" y="{centre + 17}" text-anchor="middle" font-size="13" fill="{theme.faint}">{b.does}</text>'
    )


def arrow(a: Arrow, colour: str) -> str:
    """A way with rounded corners and a head, and its text."""
    way = f"M{a.corners[0][0]} {a.corners[0][1]}"
    for before, corner, after in zip(a.corners, a.corners[1:], a.corners[2:], strict=False):
        begin, end = towards(corner, before), towards(corner, after)
        way += f" L{begin[0]} {begin[1]} Q{corner[0]} {corner[1]} {end[0]} {end[1]}"
    way += f" L{a.corners[-1][0]} {a.corners[-1][1]}"
    line = f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.8" marker-end="url(#{a.kind})"/>'
    if not a.text:
        return line
    x, y = a.at
    return line + (
        f'<text x="{x}" y="{y}" text-anchor="{a.anchor}" font-family="{MONO}" font-size="13" fill="{colour}">'
        f"{a.text}</text>"
    )


def towards(corner: tuple[int, int], other: tuple[int, int], radius: int = 8) -> tuple[int, int]:
    """The point `radius` from a corner on the way to another one, along an axis."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    return corner[0] + radius * ((dx > 0) - (dx < 0)), corner[1] + radius * ((dy > 0) - (dy < 0))


if __name__ == "__main__":
    main()
