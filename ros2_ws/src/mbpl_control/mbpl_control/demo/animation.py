"""The robot in motion, as an SVG that moves by itself: no script, no video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import escape

from mbpl_control.core.validation import Array
from mbpl_control.demo.program import FEEDBACK, OPEN_LOOP, SAMPLED
from mbpl_control.demo.records import DemoResult, TrialRecord
from mbpl_control.demo.styles import ALARM, COLORS, LABELS, TARGET
from mbpl_control.report.figures import Plate

#: Seconds on the page for a second of the trial, and seconds it rests at the end.
SLOWER, REST = 2.0, 1.5
#: The eye: rotation about z, and elevation above the ground, rad.
AZIMUTH, ELEVATION = np.deg2rad(35.0), np.deg2rad(38.0)
WIDTH, HEIGHT, MARGIN = 440.0, 360.0, 34.0


def project(points: Array) -> Array:
    """Seen from far away, x to the right and z up, y into the page. (..., 3) m → (..., 2) m."""
    x, y, z = np.moveaxis(points, -1, 0)
    across = np.cos(AZIMUTH) * x - np.sin(AZIMUTH) * y
    depth = np.sin(AZIMUTH) * x + np.cos(AZIMUTH) * y
    return np.stack([across, np.cos(ELEVATION) * z - np.sin(ELEVATION) * depth], axis=-1)


def animation_plate(result: DemoResult) -> Plate:
    """The pushed trials, side by side and in step."""
    trials = [result.trial(controller, "push") for controller in (OPEN_LOOP, FEEDBACK, SAMPLED)]
    drawn = [project(result.skeletons[t.spec.name]) for t in trials]
    target = project(result.target)
    everything = np.concatenate([d.reshape(-1, 2) for d in drawn] + [target[None]])
    low, high = everything.min(axis=0), everything.max(axis=0)
    scale = float(((np.array([WIDTH, HEIGHT]) - 2.0 * MARGIN) / np.maximum(high - low, 1e-3)).min())
    offset = np.array([WIDTH, HEIGHT]) / 2.0 - scale * 0.5 * (low + high) * np.array([1.0, -1.0])

    def place(points: Array) -> Array:
        return scale * points * np.array([1.0, -1.0]) + offset

    panels = [_panel(t, place(d), place(target)) for t, d in zip(trials, drawn, strict=True)]
    return Plate(
        "replay",
        "The same push, three times",
        f"The recorded trials, {SLOWER:g} times slower, in step with each other. While the frame is red, "
        f"the arm is pushed sideways ({trials[0].spec.world.text}). The cross is the target, the "
        f"thin line the way of the {result.frame}, the bar the time.",
        tuple(panels),
    )


def _panel(trial: TrialRecord, chain: Array, target: Array) -> str:
    """One trial. chain (T+1, B, 2) and target (2,) on the page."""
    color, label = COLORS[trial.spec.controller], LABELS[trial.spec.controller]
    moving = SLOWER * float(trial.times[-1])
    total = moving + REST
    keys = [f"{SLOWER * t / total:.4f}" for t in trial.times] + ["1"]
    frames = [*range(len(chain)), len(chain) - 1]
    tip = chain[:, -1]

    def animate(attribute: str, values: Sequence[str]) -> str:
        return (
            f'<animate attributeName="{attribute}" dur="{total:g}s" repeatCount="indefinite" '
            f'keyTimes="{";".join(keys)}" values="{";".join(values)}"/>'
        )

    poses = [_points(chain[t]) for t in frames]
    x, y = target
    parts = [
        f'<svg role="img" aria-label="{escape(label)}, pushed: replay" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" '
        'xmlns="http://www.w3.org/2000/svg" fill="none" stroke-linecap="round" stroke-linejoin="round">',
        f'<text x="10" y="20" fill="currentColor" font-size="14" font-weight="bold">{escape(label)}</text>',
        f'<text x="{WIDTH - 10:g}" y="20" fill="currentColor" font-size="13" text-anchor="end">'
        f"ends {1e3 * trial.final_distance:.1f} mm away</text>",
        f'<polyline points="{_points(tip)}" stroke="{color}" stroke-width="1.2" stroke-opacity="0.55"/>',
        f'<path d="M{x - 9:.1f} {y:.1f}h18M{x:.1f} {y - 9:.1f}v18" stroke="{TARGET}" stroke-width="2.5"/>',
        f'<polyline points="{poses[0]}" stroke="currentColor" stroke-opacity="0.85" stroke-width="7">'
        f"{animate('points', poses)}</polyline>",
        f'<circle r="6" cx="{tip[0, 0]:.1f}" cy="{tip[0, 1]:.1f}" fill="{color}">',
        animate("cx", [f"{tip[t, 0]:.1f}" for t in frames]),
        animate("cy", [f"{tip[t, 1]:.1f}" for t in frames]),
        "</circle>",
        f'<rect x="0" y="{HEIGHT - 4:g}" width="0" height="4" fill="{color}">'
        f'<animate attributeName="width" dur="{total:g}s" repeatCount="indefinite" '
        f'keyTimes="0;{moving / total:.4f};1" values="0;{WIDTH:g};{WIDTH:g}"/></rect>',
        _push_mark(trial, total),
        "</svg>",
    ]
    return "".join(parts)


def _push_mark(trial: TrialRecord, total: float) -> str:
    """A frame around the panel while the push lasts; at least long enough to be noticed."""
    push = trial.spec.world.push
    if push is None:
        return ""
    begin = SLOWER * push.delay / total
    end = begin + SLOWER * max(push.duration, 0.25) / total
    return (
        f'<rect x="2" y="28" width="{WIDTH - 4:g}" height="{HEIGHT - 36:g}" rx="6" stroke="{ALARM}" stroke-width="3" '
        f'opacity="0"><animate attributeName="opacity" dur="{total:g}s" repeatCount="indefinite" calcMode="discrete" '
        f'keyTimes="0;{begin:.4f};{end:.4f}" values="0;1;0"/></rect>'
    )


def _points(points: Array) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
