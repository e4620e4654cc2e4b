"""What became of a trial, on the terminal."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def show_outcome(outcome: Mapping[str, Any], as_json: bool) -> None:
    """Print what became of a trial, as a table or one JSON object."""
    if as_json:
        print(jsonlib.dumps(outcome))
        return
    table = Table(show_header=False)
    for key, value in outcome.items():
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
        table.add_row(key.replace("_", " "), escape(text))
    Console().print(table)
