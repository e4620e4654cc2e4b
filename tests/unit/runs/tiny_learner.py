"""A learner that is small enough to follow by hand, and a program that trains it: what the tests kill.

It fits the mean of the noise it saw, and its controllers pull towards what cost least: nothing one would use, but all
of it follows from trials, seed and iteration, as the contract of a learner asks.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mbpl_control.cli.train import train
from mbpl_control.core import ExecutionMode, FileFormatError, LinearGaussianController, Trial, archive
from mbpl_control.learning.learner import IterationReport, Learner, TrialRequest, trial_seed
from mbpl_control.runs import RunDirectory
from mbpl_control.tasks import Task

STEPS = 10
CONDITIONS = (0, 0)


class TinyLearner(Learner):
    """Two controllers; each iteration takes the actions of its cheapest trial."""

    def __init__(self, task: Task, seed: int, samples: int) -> None:
        self.task, self.seed, self.samples = task, seed, samples
        self.iteration = 0
        m = task.action.size
        self.actions = np.zeros((len(CONDITIONS), STEPS, m))

    def controller(self, index: int) -> LinearGaussianController:
        m, n = self.task.action.size, self.task.state.tangent_size
        start = self.task.condition(CONDITIONS[index]).state
        return LinearGaussianController(
            self.task.state,
            self.task.action,
            self.task.dt,
            np.repeat(start[None], STEPS + 1, axis=0),
            self.actions[index],
            np.zeros((STEPS, m, n)),
            covariances=np.repeat(0.04 * np.eye(m)[None], STEPS, axis=0),
            name=f"tiny {index}",
            metadata={"condition": CONDITIONS[index]},
        )

    def requests(self) -> list[TrialRequest]:
        return [
            TrialRequest(self.controller(i), ExecutionMode.SAMPLED, c, trial_seed(self.seed, self.iteration, i, s))
            for i, c in enumerate(CONDITIONS)
            for s in range(self.samples)
        ]

    def evaluation_requests(self) -> list[TrialRequest]:
        return [TrialRequest(self.controller(i), ExecutionMode.MEAN, c, 7) for i, c in enumerate(CONDITIONS)]

    def learn(self, trials: Sequence[Trial], evaluation: Sequence[Trial] = ()) -> IterationReport:
        rows, events = [], []
        self.iteration += 1
        for i in range(len(CONDITIONS)):
            mine = trials[i * self.samples : (i + 1) * self.samples]
            whole = [t for t in mine if t.stop_reason == "completed"]
            events += [f"a trial of controller {i} was discarded: {t.stop_reason}" for t in mine if t not in whole]
            best = min(whole, key=lambda t: t.actions @ t.actions.T @ np.ones(STEPS) @ np.ones(STEPS))
            self.actions[i] = best.actions
            rows.append(
                {
                    "condition": i,
                    "cost": float(np.mean([np.abs(t.states).sum() for t in whole])),
                    "kl": float("nan") if self.iteration == 1 else 0.5 / self.iteration,
                    "eta": 1.0 * self.iteration,
                    "success": np.float64(np.mean([t.success for t in mine])),
                    "kept": np.int64(len(whole)),
                    "how": "cheapest, of all",
                }
            )
        return IterationReport(self.iteration, tuple(rows), tuple(events), {"fit": 1e-3})

    def save(self, directory: Path) -> None:
        header = {"iteration": self.iteration, "task_hash": self.task.hash, "samples": self.samples}
        archive.save(directory / "state.npz", "tiny_learner", header, {"actions": self.actions})
        (directory / "controllers").mkdir()
        for i in range(len(CONDITIONS)):
            self.controller(i).save(directory / "controllers" / f"{i}.npz")

    def restore(self, directory: Path) -> None:
        names = ("iteration", "task_hash", "samples")
        header, arrays = archive.load(directory / "state.npz", "tiny_learner", ["actions"], names)
        if (header["task_hash"], header["samples"]) != (self.task.hash, self.samples):
            raise FileFormatError(f"{directory}: of another task or number of samples")
        self.iteration, self.actions = header["iteration"], arrays["actions"].copy()


def build(
    method: str, task: Task, seed: int, iterations: int | None, samples: int | None, variant: str | None
) -> TinyLearner:
    """What the registry does for the learners that ship."""
    return TinyLearner(task, seed, samples or 3)


def die_at(change: int, directory: Path) -> None:
    """Let SIGKILL end this process just before it makes a change to the directory: the n-th, the first is 1.

    A change is a file that is opened to be written, and whatever is moved, removed or made a directory.
    """
    left = change

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if not (writes or event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir")):
            return
        if any(isinstance(a, str | Path) and str(a).startswith(str(directory)) for a in arguments[:2]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        die_at(int(sys.argv[2]), Path(sys.argv[1]))
    done = train(
        RunDirectory.open(Path(sys.argv[1])), executor="inline", workers=None, namespace="", as_json=False, build=build
    )
    sys.exit(0 if done else 130)
