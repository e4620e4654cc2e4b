"""A snapshot of the installation that this process runs in."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import resource
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

#: What cannot be missing. Each is imported, as its files may be there and broken.
IMPORTS = ("numpy", "mujoco", "pinocchio", "numba", "torch", "rosbags", "rclpy", "mbpl_msgs.msg")
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Installation:
    """What there is, as it was found.

    Attributes:
        python: version.
        broken: modules of `IMPORTS` that cannot be imported, with why.
        lock: directory of the pinned requirements; None outside a checkout.
        differing: packages whose version is not the pinned one: (name, pinned, installed; empty when missing).
        pinned: packages that were compared.
        numba_cache: directory of numba's cache when it is named; None when numba finds one itself.
        numba_writable: whether something can be written there.
        rmw: middleware in use; empty when rclpy cannot be imported.
        domain: ROS_DOMAIN_ID as it is set; empty when it is not.
        discovery_range: ROS_AUTOMATIC_DISCOVERY_RANGE likewise.
        localhost_only: ROS_LOCALHOST_ONLY likewise.
        profiles: file of Fast DDS profiles that is named, None when none is.
        shm_free: MiB of shared memory that are free; None when there is none.
        shm_leftovers: files of Fast DDS in shared memory that no living process holds.
        open_files: soft limit of open files.
        realtime_priority: soft limit of the real-time priority; 0: none may be asked for.
        temporary: directory for temporary files.
        temporary_free: MiB that are free there.
        processors: this process may run on.
    """

    python: tuple[int, int]
    broken: tuple[tuple[str, str], ...] = ()
    lock: Path | None = None
    differing: tuple[tuple[str, str, str], ...] = ()
    pinned: int = 0
    numba_cache: Path | None = None
    numba_writable: bool = True
    rmw: str = "rmw_fastrtps_cpp"
    domain: str = ""
    discovery_range: str = ""
    localhost_only: str = ""
    profiles: Path | None = None
    shm_free: float | None = 64.0
    shm_leftovers: int = 0
    open_files: int = 1024
    realtime_priority: int = 0
    temporary: Path = Path("/tmp")
    temporary_free: float = 1e6
    processors: int = 2


def look_at_installation() -> Installation:
    """The installation of this process."""
    broken = []
    for module in IMPORTS:
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - whatever a package does when it is imported, it is broken
            broken.append((module, f"{type(error).__name__}: {error}"))
    lock = _lock()
    differing, pinned = ([], 0) if lock is None else _compare(lock)
    cache = os.environ.get("NUMBA_CACHE_DIR")
    profiles = os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE") or os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE")
    temporary = Path(tempfile.gettempdir())
    return Installation(
        python=(int(platform.python_version_tuple()[0]), int(platform.python_version_tuple()[1])),
        broken=tuple(broken),
        lock=lock,
        differing=tuple(differing),
        pinned=pinned,
        numba_cache=None if not cache else Path(cache),
        numba_writable=not cache or _writable(Path(cache)),
        rmw=_middleware(),
        domain=os.environ.get("ROS_DOMAIN_ID", ""),
        discovery_range=os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", ""),
        localhost_only=os.environ.get("ROS_LOCALHOST_ONLY", ""),
        profiles=Path(profiles) if profiles else None,
        shm_free=shutil.disk_usage(SHARED_MEMORY).free / 2**20 if SHARED_MEMORY.is_dir() else None,
        shm_leftovers=len(leftovers()),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        realtime_priority=resource.getrlimit(resource.RLIMIT_RTPRIO)[0],
        temporary=temporary,
        temporary_free=shutil.disk_usage(temporary).free / 2**20,
        processors=len(os.sched_getaffinity(0)),
    )


def leftovers(directory: Path = SHARED_MEMORY, locks: Path = Path("/proc/locks")) -> list[Path]:
    """Lock files of Fast DDS in shared memory that no living process holds: each lies beside what a dead one left.

    Read from the kernel's list of locks: trying the lock itself could get in the way of a process that just starts.
    """
    try:
        held = {line.split()[5].rpartition(":")[2] for line in locks.read_text().splitlines() if len(line.split()) > 5}
        files = [p for p in directory.glob("fastrtps_*") if p.name.endswith(("_el", "_sl"))]
        return sorted(p for p in files if str(p.stat().st_ino) not in held)
    except OSError:
        return []


def _lock() -> Path | None:
    """Pinned requirements of the checkout these sources belong to."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "requirements" / "mbpl.txt").is_file():
            return parent / "requirements"
    return None


def _compare(lock: Path) -> tuple[list[tuple[str, str, str]], int]:
    """Pinned packages that are there in another version or not at all, and how many were compared."""
    names = ["mbpl.txt", "torch.txt"]
    if os.environ.get("MBPL_SETUP") == "wheels":
        names.append("ros_jazzy.txt")
    differing, seen = [], set()
    for line in [line for name in names for line in (lock / name).read_text(encoding="utf-8").splitlines()]:
        try:
            wanted = Requirement(line.partition("#")[0].strip())
        except InvalidRequirement:
            continue  # an option of pip, or a comment
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        seen.add(wanted.name)
        try:
            found = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            found = ""
        if not found or not wanted.specifier.contains(found, prereleases=True):
            differing.append((wanted.name, str(wanted.specifier), found))
    return differing, len(seen)


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


def _middleware() -> str:
    try:
        from rclpy.utilities import get_rmw_implementation_identifier

        return str(get_rmw_implementation_identifier())
    except Exception:  # noqa: BLE001 - a broken rclpy is a finding of its own
        return ""
