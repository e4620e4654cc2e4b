"""One policy of several: a student of an ensemble, Actor-Mimic, divide and conquer, Distral. Every seed is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from report import Row
from rich.progress import track

from mbpl_control.distill.distillation import disagreement
from mbpl_control.distill.ensemble import parameters_of, smaller
from mbpl_control.distill.on_policy import Labels, OnPolicyOptions, distil_on_policy, hard, soft, together
from mbpl_control.mbrl.dyna import run_episodes
from mbpl_control.mbrl.maze import two_rooms
from mbpl_control.multitask.actor_mimic import ActorMimicOptions, actor_mimic, transferred
from mbpl_control.multitask.batch_problem import BatchProblem, Distribution, mean_return, run_batch
from mbpl_control.multitask.distral import Regularisation, SharedCounts, SoftQLearning
from mbpl_control.multitask.divide_and_conquer import DivideAndConquer, DivideOptions, Partition
from mbpl_control.multitask.natural_policy_gradient import NaturalPolicyGradient, PolicyGradientOptions
from mbpl_control.multitask.pendulum import pendulum
from mbpl_control.multitask.two_link import quadrant, two_link_reacher
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture
from mbpl_control.policies.training import AdamTrainer

#: Episodes, and their seed, that every return is judged by.
JUDGED, JUDGE = 300, 10_000
TEACHER = PolicyArchitecture((24, 24), activation="tanh", covariance="state_dependent")
GRADIENT = PolicyGradientOptions(episodes=32, kl_step=0.1)
#: Iterations of a teacher, and how many there are in an ensemble.
ITERATIONS, MEMBERS, SHARE = 25, 5, 0.1
MASSES, NEW_MASS = (0.6, 0.9, 1.2), 1.5  # kg


def judged(problem: BatchProblem, policy: Distribution) -> float:
    """Mean return without noise, of the same starts for all."""
    return mean_return(problem, policy, JUDGED, JUDGE)


@cache
def teacher(mass: float, seed: int) -> GaussianPolicy:
    """A policy for one pendulum; must not be changed."""
    learner = NaturalPolicyGradient(pendulum(mass), seed, GRADIENT, architecture=TEACHER)
    for _ in range(ITERATIONS):
        learner.advance()
    return learner.policy


@dataclass(frozen=True)
class Student:
    """How a student of an ensemble is taught."""

    name: str
    visitor: str
    labels: str


STUDENTS = (
    Student("soft targets, its own states", "student", "soft"),
    Student("soft targets, the teachers' states", "teacher", "soft"),
    Student("most likely actions, its own states", "student", "likely"),
    Student("drawn actions, its own states", "student", "drawn"),
)
#: Few states, 720 in all: with many everything teaches well, and with half of them the student of a seed in six fails.
ON_POLICY = OnPolicyOptions(rounds=12, episodes=1)


@dataclass(frozen=True)
class Taught:
    """What became of an ensemble's students.

    Attributes:
        returns: of members, ensemble and students, by name.
        off: how far each student's mean is from the ensemble's where the student goes, root mean square in standard
            deviations of the ensemble.
    """

    returns: dict[str, float]
    off: dict[str, float]


def taught(seed: int, students: Sequence[Student] = STUDENTS) -> Taught:
    """Five teachers, and students of a tenth of their parameters."""
    problem = pendulum(MASSES[1])
    members = [teacher(MASSES[1], MEMBERS * seed + k) for k in range(MEMBERS)]
    whole = together(members)
    found = {f"member {k + 1}": judged(problem, member.distribution) for k, member in enumerate(members)}
    found["ensemble"] = judged(problem, whole)
    off = {}
    most = int(SHARE * sum(map(parameters_of, members)))
    architecture = smaller(replace(TEACHER, covariance="constant"), members[0].features.size, 1, most)
    for one in students:
        rng = np.random.default_rng([seed, 1])
        labels: Labels = soft(whole) if one.labels == "soft" else hard(whole, rng if one.labels == "drawn" else None)
        student = problem.new_policy(architecture, seed)
        trainer = AdamTrainer(500, 64, held_out=0.0)
        distil_on_policy(problem, student, whole, labels, trainer, replace(ON_POLICY, visitor=one.visitor), seed)
        found[one.name] = judged(problem, student.distribution)
        starts = problem.starts(JUDGED, np.random.default_rng(JUDGE))
        off[one.name] = disagreement(student, soft(whole)(run_batch(problem, student.distribution, starts).visited))
    return Taught(found, off)


def ensemble(seeds: Sequence[int]) -> list[Row]:
    """An ensemble and its students."""
    rows = []
    for seed in track(seeds, "ensemble", transient=True):
        found = taught(seed)
        for name, value in found.returns.items():
            rows.append(Row(f"pendulum, seed {seed}: return of {name}", value, "1"))
        for name, value in found.off.items():
            rows.append(Row(f"pendulum, seed {seed}: {name}, off by", value, "standard deviations"))
    return rows


@dataclass(frozen=True)
class Mimicked:
    """What became of three teachers.

    Attributes:
        teachers: return of each.
        students: of the student on each of their tasks.
        zero_shot: of the student on the new mass, untrained there.
        begun: returns on the new mass by iteration, by how learning began.
    """

    teachers: tuple[float, ...]
    students: tuple[float, ...]
    zero_shot: float
    begun: dict[str, list[float]]


def mimicked(seed: int, iterations: int = ITERATIONS) -> Mimicked:
    """Three masses, one network, and a fourth mass with it."""
    problems, new = [pendulum(mass) for mass in MASSES], pendulum(NEW_MASS)
    teachers = [teacher(mass, seed) for mass in MASSES]
    student = problems[0].new_policy(TEACHER, seed)
    student.task = ""
    actor_mimic(problems, teachers, student, ActorMimicOptions(), seed)
    begun = {
        "scratch": None,
        "the student": transferred(student, new, 0.25),
        "its features": transferred(student, new, GRADIENT.std, new_last_layer_seed=seed),
        "one teacher": transferred(teachers[-1], new, 0.25),
    }
    found = {}
    for name, policy in begun.items():
        learner = NaturalPolicyGradient(new, seed, GRADIENT, policy, TEACHER)
        found[name] = [judged(new, learner.policy.distribution)]
        for _ in range(iterations):
            learner.advance()
            found[name].append(judged(new, learner.policy.distribution))
    return Mimicked(
        tuple(judged(p, t.distribution) for p, t in zip(problems, teachers, strict=True)),
        tuple(judged(p, student.distribution) for p in problems),
        judged(new, student.distribution),
        found,
    )


def first_reached(returns: Sequence[float], enough: float) -> float:
    """Iterations to a return; infinite where it was not reached."""
    return next((float(k) for k, value in enumerate(returns) if value >= enough), float("inf"))


def mimic(seeds: Sequence[int]) -> list[Row]:
    """Actor-Mimic: three masses in one network, and a fourth."""
    rows = []
    for seed in track(seeds, "Actor-Mimic", transient=True):
        found = mimicked(seed)
        for mass, taught, returned in zip(MASSES, found.teachers, found.students, strict=True):
            rows.append(Row(f"pendulum of {mass:g} kg, seed {seed}: return of its teacher", taught, "1"))
            share = returned / taught
            rows.append(Row(f"pendulum of {mass:g} kg, seed {seed}: the student's share", share, "1", 0.95, "higher"))
        rows.append(Row(f"pendulum of {NEW_MASS:g} kg, seed {seed}: return of the student", found.zero_shot, "1"))
        for name, returns in found.begun.items():
            what = f"pendulum of {NEW_MASS:g} kg, seed {seed}, from {name}"
            rows += [Row(f"{what}: return after {k} iterations", returns[k], "1") for k in (0, 2, 5, 10, 15, 20, 25)]
    return rows


#: Of the reacher: iterations in all, those between distillations, and the pull.
REACHING, PERIOD, PULL = 120, 40, 0.1
#: 50 episodes for each quadrant: with 12, a quadrant learns less of its own than all learn of each other's.
LOCAL = PolicyGradientOptions(episodes=200, kl_step=0.1)
REACHER = PolicyArchitecture((32, 32), activation="tanh", covariance="state_dependent")


WHOLE, APART, TOGETHER = "one policy on all starts", "quadrants, no pull", "quadrants, towards each other"
#: How starts are divided, how much policies are drawn, and to what; by name.
DIVIDED = {
    APART: ("quadrants", 0.0, "others"),
    "quadrants, towards the global policy": ("quadrants", PULL, "global"),
    TOGETHER: ("quadrants", PULL, "others"),
    "k-means, towards each other": ("k-means", PULL, "others"),
}


def divided_returns(seed: int, names: Sequence[str] = (WHOLE, *DIVIDED)) -> dict[str, float]:
    """Returns of a reacher's policies after the same number of episodes."""
    problem = two_link_reacher()
    starts = problem.starts(500, np.random.default_rng(seed))
    partitions = {"quadrants": Partition(4, quadrant), "k-means": Partition.by_k_means(starts, 4, seed)}
    found = {}
    for name in names:
        if name == WHOLE:
            learner: NaturalPolicyGradient | DivideAndConquer = NaturalPolicyGradient(
                problem, seed, LOCAL, architecture=REACHER
            )
        else:
            by, pull, to = DIVIDED[name]
            learner = DivideAndConquer(problem, partitions[by], seed, DivideOptions(LOCAL, pull, to, PERIOD), REACHER)
        while learner.steps < REACHING * LOCAL.episodes * problem.steps:
            learner.advance()
        found[name] = judged(problem, learner.policy.distribution)
    return found


def divide(seeds: Sequence[int]) -> list[Row]:
    """Divide and conquer beside one policy on all starts."""
    rows = []
    for seed in track(seeds, "divide and conquer", transient=True):
        for name, value in divided_returns(seed).items():
            rows.append(Row(f"two-link reacher, seed {seed}: return of {name}", value, "1"))
    return rows


#: Start and goal of each task of the two rooms, and of one that comes later.
ROOMS = (((0, 0), (0, 10)), ((4, 0), (0, 8)), ((2, 0), (4, 9)), ((1, 3), (4, 7)))
LATER = ((3, 1), (1, 9))
CORRIDOR, RIGHT = tuple(2 * 11 + column for column in (4, 5, 6)), 1
WEIGHTS = Regularisation(kl=0.02, entropy=0.001)


@dataclass(frozen=True)
class RoomsLearned:
    """What several tasks of two rooms share, and what a later one makes of it.

    Attributes:
        corridor: least probability of the way through the corridor in it.
        steps: of each episode of the later task, by what it began with.
    """

    corridor: float
    steps: dict[str, np.ndarray]


def rooms(seed: int, rounds: int = 60, later: int = 10) -> RoomsLearned:
    """Learn the tasks together from episodes, and then another one, with what they share and without."""
    mazes = [two_rooms(*each) for each in ROOMS]
    counts = SharedCounts(55, 4)
    learners = [SoftQLearning(counts.policy, WEIGHTS, 100 * seed + k) for k in range(len(mazes))]
    for _ in range(rounds):
        visits = np.zeros((55, 4))
        for maze, learner in zip(mazes, learners, strict=True):
            learner.shared = counts.policy
            run_episodes(maze, learner, 1, seed)
            visits += learner.visited()
        counts.add(visits)
    blank = np.full((55, 4), 0.25)
    alone = Regularisation(kl=0.0, entropy=WEIGHTS.kl + WEIGHTS.entropy)
    steps = {}
    for name, shared, by in (("the shared policy", counts.policy, WEIGHTS), ("nothing", blank, alone)):
        learner = SoftQLearning(shared, by, 100 * seed + 50)
        steps[name] = run_episodes(two_rooms(*LATER), learner, later, seed)
    return RoomsLearned(float(counts.policy[list(CORRIDOR), RIGHT].min()), steps)


def shared_rooms(seeds: Sequence[int]) -> list[Row]:
    """Distral in two rooms."""
    rows = []
    for seed in track(seeds, "Distral", transient=True):
        found = rooms(seed)
        rows.append(Row(f"two rooms, seed {seed}: least probability of the way through", found.corridor, "1"))
        for name, steps in found.steps.items():
            what = f"two rooms, seed {seed}, a later goal from {name}"
            rows.append(Row(f"{what}: steps of the first episode", float(steps[0]), "steps"))
            rows.append(Row(f"{what}: steps of {len(steps)} episodes", float(steps.sum()), "steps"))
    return rows


def distillation(seeds: Sequence[int]) -> list[Row]:
    """All of it."""
    return [row for part in (ensemble, mimic, divide, shared_rooms) for row in part(seeds)]
