"""What is wrong with an installation."""

from __future__ import annotations

from collections.abc import Iterator

from mbpl_control.doctor.finding import Finding, fail, ok, warn
from mbpl_control.doctor.installation import Installation

PYTHONS = ((3, 10), (3, 13))
#: The only middleware that the graph is tested with.
MIDDLEWARE = "rmw_fastrtps_cpp"
RANGES = ("LOCALHOST", "SUBNET", "OFF", "SYSTEM_DEFAULT")
#: Domains whose UDP ports lie in the range from which Linux gives ports to any program.
BUSY_DOMAINS = range(102, 215)
LARGEST_DOMAIN = 232
SETUP = "run `make setup`; if that does not help, `make clean` and `make setup`"


def check_installation(found: Installation) -> list[Finding]:
    """All checks of an installation, in an order that makes sense to read."""
    return [
        finding
        for check in (_packages, _cache, _middleware, _domain, _shared_memory, _limits)
        for finding in check(found)
    ]


def _packages(found: Installation) -> Iterator[Finding]:
    python = ".".join(map(str, found.python))
    low, high = (".".join(map(str, version)) for version in PYTHONS)
    if PYTHONS[0] <= found.python <= PYTHONS[1]:
        yield ok("Python", python)
    else:
        yield fail("Python", f"{python}; {low} to {high} are supported", "`make setup PYTHON=/path/to/another`")
    for module, why in found.broken:
        remedy = (
            "`source tools/env.sh`, in this shell; else " + SETUP if module in ("rclpy", "mbpl_msgs.msg") else SETUP
        )
        yield fail("packages", f"{module} cannot be imported: {why}", remedy)
    if not found.broken:
        yield ok("packages", "numerics, models, policies, bags and messages can be imported")
    if found.lock is None:
        yield ok("versions", "outside a checkout; there is nothing to compare them with")
    elif found.differing:
        texts = [f"{name} {have or 'missing'}, pinned {pin}" for name, pin, have in found.differing]
        more = f" and {len(texts) - 5} more" if len(texts) > 5 else ""
        yield warn("versions", "; ".join(texts[:5]) + more, SETUP)
    else:
        yield ok("versions", f"{found.pinned} packages are those pinned in {found.lock}")


def _cache(found: Installation) -> Iterator[Finding]:
    where = "chosen by numba" if found.numba_cache is None else str(found.numba_cache)
    if found.numba_writable:
        yield ok("compiled code", f"kept in {where}")
    else:
        yield warn(
            "compiled code",
            f"{where} cannot be written: each process compiles anew, which takes half a minute",
            "let NUMBA_CACHE_DIR name a directory that can be written",
        )


def _middleware(found: Installation) -> Iterator[Finding]:
    if found.rmw == MIDDLEWARE:
        yield ok("middleware", found.rmw)
    elif found.rmw:
        text = f"{found.rmw}; the graph is tested with {MIDDLEWARE} only"
        yield warn("middleware", text, f"`export RMW_IMPLEMENTATION={MIDDLEWARE}` for every node, or look out")
    if found.profiles is not None and not found.profiles.is_file():
        yield fail("profiles", f"there is no file {found.profiles}", "correct or unset FASTRTPS_DEFAULT_PROFILES_FILE")
    elif found.profiles is not None:
        yield ok("profiles", f"{found.profiles} decides how nodes talk; all nodes need the same")


def _domain(found: Installation) -> Iterator[Finding]:
    text = found.domain or "0"
    if not text.isascii() or not text.isdigit() or int(text) > LARGEST_DOMAIN:
        yield fail(
            "domain", f"ROS_DOMAIN_ID is '{text}'", f"set it to a number from 0 to 101 (or 215 to {LARGEST_DOMAIN})"
        )
    elif int(text) in BUSY_DOMAINS:
        yield warn(
            "domain",
            f"{text}, whose ports other programs may be given by Linux",
            f"use one from 0 to 101, or from 215 to {LARGEST_DOMAIN}",
        )
    else:
        yield ok("domain", text)
    if found.localhost_only:
        yield warn(
            "discovery",
            f"ROS_LOCALHOST_ONLY={found.localhost_only} is out of date and takes precedence",
            "unset it, and use ROS_AUTOMATIC_DISCOVERY_RANGE",
        )
    scope = found.discovery_range
    if scope and scope not in RANGES:
        yield fail("discovery", f"ROS_AUTOMATIC_DISCOVERY_RANGE is '{scope}'", f"set it to one of {', '.join(RANGES)}")
    elif scope == "OFF":
        text = "ROS_AUTOMATIC_DISCOVERY_RANGE is OFF: nodes do not even find each other on this machine"
        yield fail("discovery", text, "set it to LOCALHOST")
    elif scope != "LOCALHOST" and found.profiles is None:
        yield warn(
            "discovery",
            f"range {scope or 'not set, which means SUBNET'}: other machines hear this graph, and it hears them",
            "`export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST` unless that is meant; see docs/security.md",
        )
    else:
        yield ok("discovery", f"range {scope or 'SUBNET'}")


def _shared_memory(found: Installation) -> Iterator[Finding]:
    if found.shm_free is None:
        yield warn("shared memory", "there is no /dev/shm: nodes talk over the network only", "mount it")
    elif found.shm_free < 16.0:
        yield warn(
            "shared memory",
            f"{found.shm_free:.0f} MiB are free in /dev/shm",
            "end what fills it; in a container give it more, as by `--shm-size=256m`",
        )
    else:
        yield ok("shared memory", f"{found.shm_free:.0f} MiB are free")
    if found.shm_leftovers:
        yield warn(
            "leftovers",
            f"{found.shm_leftovers} locks in /dev/shm are of nodes that were killed; whoever gets their ports next may "
            "lose messages",
            "end all nodes, then `rm -f /dev/shm/fastrtps_* /dev/shm/sem.fastrtps_*`; while others run, "
            "`fastdds shm clean`",
        )


def _limits(found: Installation) -> Iterator[Finding]:
    if found.open_files < 256:
        yield fail("open files", f"limit {found.open_files}; a node needs some 100", "`ulimit -n 1024`")
    else:
        yield ok("open files", f"limit {found.open_files}")
    if found.realtime_priority:
        yield ok("priority", f"up to {found.realtime_priority} in real time")
    else:
        yield ok("priority", "nodes run at normal priority; on a busy machine a limit of rtprio and `chrt` would help")
    if found.processors < 2:
        yield warn("processors", "1: simulation, estimator and manager wait for each other", "give it 2 or more")
    else:
        yield ok("processors", str(found.processors))
    if found.temporary_free < 100.0:
        yield fail(
            "temporary files", f"{found.temporary_free:.0f} MiB are free in {found.temporary}", "make room there"
        )
    else:
        yield ok("temporary files", f"{found.temporary_free:.0f} MiB are free in {found.temporary}")
