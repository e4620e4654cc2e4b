"""Learned dynamics in files: what comes back goes on learning as if it had never been away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mbpl_control.core import archive
from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import FileFormatError, MbplError
from mbpl_control.core.hashing import content_hash
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.validation import Array, check_choice
from mbpl_control.mbrl.ensemble import EnsembleDynamics
from mbpl_control.mbrl.learned_model import LearnedModel
from mbpl_control.mbrl.mixture_dynamics import MixtureDynamics

_KINDS: dict[str, type[EnsembleDynamics] | type[MixtureDynamics]] = {
    "ensemble": EnsembleDynamics,
    "mixture": MixtureDynamics,
}
_MODEL = "learned_model"


def save_model(model: LearnedModel, path: str | Path) -> Path:
    """Write a model to `path` (.npz), definitions and dynamics; a reader never sees half a file.

    Raises:
        FileFormatError: the file cannot be written, or there is no file for such dynamics.
    """
    return archive.save(path, _MODEL, *_content(model))


def model_hash(model: LearnedModel) -> str:
    """Of all that decides what it says and how it goes on learning; the same after `save_model` and `load_model`."""
    header, arrays = _content(model)
    return content_hash([header, {name: [array.shape, array.tobytes().hex()] for name, array in arrays.items()}])


def _content(model: LearnedModel) -> tuple[dict[str, Any], dict[str, Array]]:
    learned = model.learned
    kind = next((name for name, each in _KINDS.items() if type(learned) is each), None)
    if kind is None or not isinstance(learned, (EnsembleDynamics, MixtureDynamics)):
        raise FileFormatError(f"no file keeps a {type(learned).__name__}; one keeps {', '.join(_KINDS)}")
    options, arrays = learned.parts()
    own = {"state": model.state.to_dict(), "action": model.action.to_dict(), "dt": model.dt}
    return {**own, "learned": kind, "options": options}, arrays


def load_model(path: str | Path) -> LearnedModel:
    """Read what `save_model` wrote.

    Raises:
        FileFormatError: not such a file, or of an unknown schema version.
        InvalidFieldError: its content is not valid.
    """
    header, _ = archive.load(path, _MODEL, (), ("learned", "options", "state", "action", "dt"))
    kind = _KINDS[check_choice("LearnedModel", "learned", header["learned"], tuple(_KINDS))]
    _, arrays = archive.load(path, _MODEL, kind.ARRAYS, ())
    try:
        learned = kind.of_parts(header["options"], arrays)
    except MbplError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: its dynamics cannot be read: {error!r}") from error
    state, action = StateDefinition.from_dict(header["state"]), ActionDefinition.from_dict(header["action"])
    return LearnedModel(learned, state, action, header["dt"])
