"""Files that users hand in: bounded in size before a byte of them is parsed, and never a means to run code.

YAML is read without Python tags, npz without pickles, models as XML. What is left is a file that is too large for its
kind, by accident or by intent; it is refused here, for all kinds in one place.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from mbpl_control.core.errors import FileFormatError

MIB = 1024 * 1024
#: Largest text of a task, a robot, or the metadata of a bag or run.
MAX_TEXT_BYTES = 4 * MIB
#: Most values of a YAML, its aliases written out.
MAX_YAML_VALUES = 1_000_000
#: Largest npz of laws, trials and policies, on the disk and unpacked.
MAX_ARCHIVE_BYTES = 2048 * MIB


def read_text(path: Path) -> str:
    """The text of a file of at most `MAX_TEXT_BYTES`, as UTF-8.

    Raises:
        FileFormatError: it cannot be read, is no regular file, is too large, or is not UTF-8.
    """
    try:
        if not path.is_file():
            raise FileFormatError(f"{path}: cannot be read: no such file")
        check_size(path, MAX_TEXT_BYTES)
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path}: cannot be read: {error}") from error


def check_size(path: Path, limit: int) -> None:
    """Refuse a file of more than `limit` bytes.

    Raises:
        FileFormatError: it is larger.
    """
    _refuse_beyond(path, path.stat().st_size, limit, "")


def check_archive(path: Path) -> None:
    """Refuse an npz that is too large, or would be once it is unpacked.

    A zip says in its directory how large its members are; one that lies about that fails its checksum when it is read.

    Raises:
        FileFormatError: it is larger than `MAX_ARCHIVE_BYTES`, on the disk or unpacked.
    """
    check_size(path, MAX_ARCHIVE_BYTES)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        _refuse_beyond(path, unpacked, MAX_ARCHIVE_BYTES, " unpacked")


def _refuse_beyond(path: Path, size: int, limit: int, how: str) -> None:
    if size > limit:
        raise FileFormatError(f"{path}: {size / MIB:.1f} MiB{how}; must be at most {limit / MIB:g} MiB")
