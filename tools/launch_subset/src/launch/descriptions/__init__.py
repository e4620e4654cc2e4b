"""What an action works on."""

from .._coverage import refuse_uncovered
from .executable import Executable

__all__ = ["Executable"]

__getattr__ = refuse_uncovered(__name__)
