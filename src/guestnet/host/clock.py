"""The clock that deadlines go by: it goes on while the machine sleeps, and nobody can set it.

It begins anew at each boot, so a time on it means something together with the boot's own id only.
"""

from __future__ import annotations

import time
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def since_boot() -> float:
    """Seconds (CLOCK_BOOTTIME, clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot() -> str:
    """Names this boot (random(4)); empty where the kernel does not say."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
