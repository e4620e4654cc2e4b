"""What runs: versions of packages, and the commit of a checkout."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions by name: of mbpl, Python, the machine and the packages named; one that is missing is left out."""
    found = {"mbpl": importlib.metadata.version("mbpl_control"), "Python": platform.python_version()}
    found["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Commit of the checkout these sources belong to, with "+" when files were changed; empty outside a checkout."""
    git = ["git", "-C", str(Path(__file__).resolve().parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10.0)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, timeout=10.0
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if head.returncode or changed.returncode:
        return ""
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")
