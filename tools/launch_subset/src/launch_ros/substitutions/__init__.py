"""Text that comes from the installed packages."""

from launch._coverage import refuse_uncovered

from .executable_in_package import ExecutableInPackage
from .find_package import FindPackage, FindPackagePrefix, FindPackageShare

__all__ = ["ExecutableInPackage", "FindPackage", "FindPackagePrefix", "FindPackageShare"]

__getattr__ = refuse_uncovered(__name__)
