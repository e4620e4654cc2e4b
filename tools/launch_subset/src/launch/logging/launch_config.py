"""The directory of the log files of one launch."""

from __future__ import annotations

import contextlib
import os
import socket
from datetime import datetime
from pathlib import Path


class LaunchConfig:
    """A directory of its own for each launch, below ROS_LOG_DIR, else ROS_HOME/log, else ~/.ros/log.

    A link named `latest` beside it leads to the newest.
    """

    def __init__(self) -> None:
        """Make nothing yet."""
        self._directory: Path | None = None

    @property
    def log_dir(self) -> str:
        """The directory, made at the first call."""
        if self._directory is None or not self._directory.is_dir():
            root = log_root()
            stamp = datetime.now().strftime("%Y-%m-%d-%H-%M-%S-%f")
            self._directory = root / f"{stamp}-{socket.gethostname()}-{os.getpid()}"
            self._directory.mkdir(parents=True)
            self._link_latest(root)
        return str(self._directory)

    def get_log_file_path(self, file_name: str = "launch.log") -> str:
        """The path of a file in the directory."""
        return os.path.join(self.log_dir, file_name)

    def append(self, file_name: str, line: str) -> None:
        """Append a line to a file in the directory."""
        with open(self.get_log_file_path(file_name), "a", encoding="utf-8") as stream:
            print(line, file=stream)

    def reset(self) -> None:
        """Begin a new directory at the next call."""
        self._directory = None

    def _link_latest(self, root: Path) -> None:
        latest = root / "latest"
        fresh = root / f".latest-{os.getpid()}"
        # Another launch may do the same at this moment; either link is right, and a link that a user made stays.
        if latest.exists() and not latest.is_symlink():
            return
        with contextlib.suppress(OSError):
            fresh.symlink_to(self.log_dir)
            fresh.replace(latest)


def log_root() -> Path:
    """The directory below which all launches log."""
    if os.environ.get("ROS_LOG_DIR"):
        return Path(os.environ["ROS_LOG_DIR"]).expanduser()
    home = Path(os.environ.get("ROS_HOME") or "~/.ros").expanduser()
    return home / "log"


launch_config = LaunchConfig()
