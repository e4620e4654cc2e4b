"""Content hashes of definitions and tasks."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def content_hash(content: Any) -> str:
    """SHA-256 of the canonical JSON of `content`, first 16 hex digits.

    Keys are sorted and floats written in shortest round-trip form, so equal content gives equal hashes on every
    machine.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
