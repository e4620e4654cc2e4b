"""After `warm_up` nothing of a plan is compiled any more: a controller that waits for a compiler loses its robot."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# in a process of its own: in this one other tests have compiled what they needed
PROGRAM = """
import json
import sys

from numba.core.dispatcher import Dispatcher

from mbpl_control.tasks import load_task
from mbpl_control.trajopt.planning import plan_task, task_receding_horizon, warm_up


def kernels():
    ours = [module for name, module in list(sys.modules.items()) if name.startswith(("mbpl_control", "mbpl_kernels"))]
    found = {(module.__name__, name): part for module in ours for name, part in vars(module).items()}
    return {"/".join(key): len(part.signatures) for key, part in found.items() if isinstance(part, Dispatcher)}


task = load_task(sys.argv[1])
warm_up(task)
before = kernels()
result = plan_task(task, form="forward")
planner = task_receding_horizon(task, 0)
for k in range(6):
    planner.plan(result.states[k], k * task.dt)
after = kernels()
print(json.dumps({name: after[name] for name in after if after[name] > before.get(name, 0)}))
"""


@pytest.mark.parametrize("task", ["acrobot_swingup", "panda_reach", "puck_push"])
def test_nothing_is_compiled_by_a_plan_that_was_warmed_up_for(task: str) -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM, task], capture_output=True, text=True, timeout=400, check=True)
    assert json.loads(ran.stdout.splitlines()[-1]) == {}
