"""Whether a person has confirmed that a robot's joints are what its YAML says."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

from mbpl_control.core.errors import FileFormatError
from mbpl_control.core.user_files import read_text


class Confirmation:
    """A confirmation that is kept beside the robot's YAML, as `arm.yaml.confirmed`, and counts for one content only.

    Args:
        robot_file: path of the YAML.
        hash_: of its content and of the robot's own file.
        given: the same hash when somebody vouches for it without a file; else empty.
    """

    def __init__(self, robot_file: Path, hash_: str, given: str = "") -> None:
        """Look for it."""
        self.path = robot_file.with_name(robot_file.name + ".confirmed")
        self.hash = hash_
        #: why it does not count; empty when it does
        self.reason = ""
        if given:
            self.reason = "" if given == hash_ else f"'confirmed' is {given}, this robot's hash is {hash_}"
        else:
            self.reason = self._lacking()

    @property
    def counts(self) -> bool:
        """Whether the joints are confirmed."""
        return not self.reason

    def _lacking(self) -> str:
        if not self.path.exists():
            return f"the joints of {self.path.name.removesuffix('.confirmed')} were never confirmed"
        try:
            kept = json.loads(read_text(self.path))
            found = kept["hash"] if isinstance(kept, dict) else None
        except (FileFormatError, ValueError, KeyError, RecursionError) as error:
            return f"{self.path} is no confirmation ({error})"
        if found != self.hash:
            return (
                f"{self.path.name} is for another content of the robot's YAML or model (hash {found}, now {self.hash})"
            )
        return ""

    def give(self, joints: list[str]) -> str:
        """Keep it; in words where.

        Args:
            joints: that a person has seen move.
        """
        self.reason = ""
        content = {
            "hash": self.hash,
            "joints": joints,
            "confirmed": datetime.now(tz=timezone.utc).isoformat(timespec="seconds"),
        }
        try:
            self.path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            return f"until the bridge ends: it cannot be kept ({error}); next time give confirmed:={self.hash}"
        return f"in {self.path}"

    def revoke(self, reason: str) -> None:
        """Take it back."""
        self.reason = reason
        self.path.unlink(missing_ok=True)
