"""The chance that values are drawn by: the same on one host each time, so that apply draws what plan has shown.

A host is told from others by /etc/machine-id, hashed with our name as machine-id(5) asks: 40 bits of a ULA that no
other host is likely to have (RFC 4193, 3.2.2). What was drawn is remembered all the same, and rules from then on.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

_MACHINE_ID = Path("/etc/machine-id")


def chance(path: Path = _MACHINE_ID) -> random.Random:
    """Seeded by the host; by the system's own randomness when the host has no machine id."""
    try:
        identity = path.read_bytes().strip()
    except OSError:
        identity = b""
    if not identity:
        return random.SystemRandom()
    return random.Random(hashlib.sha256(b"guestnet " + identity).digest())  # noqa: S311  unique, not secret
