"""Statistics as a LeRobotDataset keeps them, of each episode and of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mbpl_control.core.validation import Array

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}


def statistics_of(columns: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    """Minimum, maximum, mean, deviation, count and quantiles of every feature over the steps of an episode."""
    out = {}
    for name, values in columns.items():
        rows = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
        quantiles = np.quantile(rows, list(QUANTILES.values()), axis=0)
        out[name] = {
            "min": rows.min(axis=0),
            "max": rows.max(axis=0),
            "mean": rows.mean(axis=0),
            "std": rows.std(axis=0),
            "count": np.array([len(rows)]),
            **dict(zip(QUANTILES, quantiles, strict=True)),
        }
    return out


def columns_of(statistics: Mapping[str, Mapping[str, Array]]) -> dict[str, list[float]]:
    """The statistics of an episode as columns of its row."""
    return {f"stats/{name}/{key}": v.tolist() for name, values in statistics.items() for key, v in values.items()}


def joined_statistics(episodes: Sequence[Mapping[str, Mapping[str, Array]]]) -> dict[str, dict[str, Any]]:
    """Put together those of the episodes, as lists.

    Mean and deviation are those of all steps (Chan, Golub and LeVeque 1983); quantiles are means of those of the
    episodes, weighted by their steps, as LeRobot itself joins them.
    """
    out: dict[str, dict[str, Any]] = {}
    for name in episodes[0]:
        parts = [episode[name] for episode in episodes]
        counts = np.array([part["count"] for part in parts], dtype=np.float64)
        shares = counts / counts.sum()
        means = np.array([part["mean"] for part in parts])
        mean = (shares * means).sum(axis=0)
        variances = np.array([part["std"] for part in parts]) ** 2 + (means - mean) ** 2
        joined = {
            "min": np.min([part["min"] for part in parts], axis=0),
            "max": np.max([part["max"] for part in parts], axis=0),
            "mean": mean,
            "std": np.sqrt((shares * variances).sum(axis=0)),
            "count": np.array([int(counts.sum())]),
        }
        joined |= {q: (shares * np.array([part[q] for part in parts])).sum(axis=0) for q in QUANTILES}
        out[name] = {key: values.tolist() for key, values in joined.items()}
    return out
