"""A program to run."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

_numbers = itertools.count(1)


class Executable:
    """A command line with its name, working directory and environment.

    Args:
        cmd: the program and its arguments, each text or substitutions.
        prefix: words before the program, split as a shell does; none means the configuration `launch-prefix`.
        name: of the process; none means the name of the program.
        cwd: the working directory; none means that of launch.
        env: the whole environment; none means that of launch.
        additional_env: variables on top.
    """

    def __init__(
        self,
        *,
        cmd: Iterable[SomeSubstitutionsType],
        prefix: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        cwd: SomeSubstitutionsType | None = None,
        env: Mapping[SomeSubstitutionsType, SomeSubstitutionsType] | None = None,
        additional_env: Mapping[SomeSubstitutionsType, SomeSubstitutionsType] | None = None,
    ) -> None:
        """Keep what was written."""
        self.cmd = [normalize_to_list_of_substitutions(word) for word in cmd]
        self._prefix = None if prefix is None else normalize_to_list_of_substitutions(prefix)
        self._name = None if name is None else normalize_to_list_of_substitutions(name)
        self._cwd = None if cwd is None else normalize_to_list_of_substitutions(cwd)
        self._env = None if env is None else _pairs(env)
        self._additional_env = _pairs(additional_env or {})
        self.final_name = ""
        self.final_cmd: list[str] = []
        self.final_cwd: str | None = None
        self.final_env: dict[str, str] = {}

    def prepare(self, context: LaunchContext) -> None:
        """Evaluate everything here and now; the name gets a number that no other process has."""
        words = [perform_substitutions(context, word) for word in self.cmd]
        if self._prefix is None:
            prefix = str(context.launch_configurations.get("launch-prefix", ""))
        else:
            prefix = perform_substitutions(context, self._prefix)
        self.final_cmd = shlex.split(prefix) + words
        if self._name is None:
            name = os.path.basename(self.final_cmd[0])
        else:
            name = perform_substitutions(context, self._name)
        self.final_name = f"{name}-{next(_numbers)}"
        self.final_cwd = None if self._cwd is None else perform_substitutions(context, self._cwd)
        self.final_env = dict(context.environment) if self._env is None else _perform(context, self._env)
        self.final_env.update(_perform(context, self._additional_env))


Pairs = list[tuple[list[Substitution], list[Substitution]]]


def _pairs(variables: Mapping[SomeSubstitutionsType, SomeSubstitutionsType]) -> Pairs:
    return [
        (normalize_to_list_of_substitutions(name), normalize_to_list_of_substitutions(value))
        for name, value in variables.items()
    ]


def _perform(context: LaunchContext, pairs: Pairs) -> dict[str, str]:
    return {perform_substitutions(context, name): perform_substitutions(context, value) for name, value in pairs}
