"""package.xml of every package: valid, of one version, and with the dependencies that its sources really have."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from ament_index_python.packages import get_packages_with_prefixes
from catkin_pkg.package import Package, parse_package

PACKAGES = ("ros2_ws/src/mbpl_msgs", "ros2_ws/src/mbpl_control", "sim", "launch")
#: Part of every ROS installation, though the set-up without one gives them no package of their own.
LAUNCH = {"launch", "launch_ros"}


@pytest.fixture(params=PACKAGES)
def directory(request: pytest.FixtureRequest, repository: Path) -> Path:
    return repository / request.param


def read(directory: Path) -> Package:
    warnings: list[str] = []
    package = parse_package(str(directory), warnings=warnings)
    assert warnings == []
    return package


def ros_dependencies(package: Package) -> set[str]:
    """What a package depends on to run, of all that is a ROS package and no system library."""
    names = {dependency.name for dependency in package.exec_depends}
    return {name for name in names if not name.startswith("python3-")}


def imported(directory: Path) -> set[str]:
    """The top-level modules that the sources of a package import, wherever they do."""
    modules: set[str] = set()
    for source in directory.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                modules.add(node.module)
    return {module.partition(".")[0] for module in modules}


def test_a_package_file_is_valid_format_3_under_the_licence_of_the_repository(directory: Path) -> None:
    package = read(directory)
    assert package.package_format == 3
    assert package.licenses == ["Apache-2.0"]


def test_all_packages_share_one_version(repository: Path) -> None:
    assert len({read(repository / directory).version for directory in PACKAGES}) == 1


def test_every_ros_package_that_is_imported_is_declared(directory: Path) -> None:
    package = read(directory)
    installed = set(get_packages_with_prefixes()) | LAUNCH
    missing = (imported(directory) & installed) - ros_dependencies(package) - {package.name}
    assert missing == set()


def test_every_ros_package_that_is_declared_is_named_in_the_sources(directory: Path) -> None:
    sources = [
        path for path in directory.rglob("*") if path.suffix in {".py", ".yaml", ".msg", ".srv", ".action", ".txt"}
    ]
    text = "\n".join(path.read_text() for path in sources)
    unused = {name for name in ros_dependencies(read(directory)) if name not in text}
    assert unused == set()
