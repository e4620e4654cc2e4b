"""Message types of bags, without ROS: the library's own, and this project's from their definition files."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from mbpl_control.core.errors import BagError


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """Types of ROS 2 Jazzy and of mbpl_msgs.

    Raises:
        BagError: mbpl_msgs is not installed in any prefix of AMENT_PREFIX_PATH.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    types = {}
    for path in _definitions():
        types.update(get_types_from_msg(path.read_text(encoding="utf-8"), f"mbpl_msgs/msg/{path.stem}"))
    store.register(types)
    return store


def _definitions() -> list[Path]:
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        directory = Path(prefix) / "share" / "mbpl_msgs" / "msg"
        if prefix and directory.is_dir():
            return sorted(directory.glob("*.msg"))
    raise BagError("mbpl_msgs is not installed: no share/mbpl_msgs/msg below AMENT_PREFIX_PATH; source the workspace")
