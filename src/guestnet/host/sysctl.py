"""The door to sysctls of the running kernel, through /proc/sys. Keys are written with slashes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from guestnet.words.problems import GuestnetError
from guestnet.words.remedy import remedy

READ_ONLY = "/proc/sys is mounted read-only here, as in containers: set it from outside, or mount that read-write"
_ROOT = Path("/proc/sys")


def read(key: str) -> str | None:
    """The value, or None when the kernel has no such key (IPv6 off, or no such NIC)."""
    try:
        return (_ROOT / key).read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise GuestnetError(f"sysctl {key} can't be read: {error.strerror}", remedy(error)) from error


def writable(key: str) -> bool:
    """Whether it can be set: also root cannot where /proc/sys is mounted read-only, as in containers."""
    return os.access(_ROOT / key, os.W_OK) or not (_ROOT / key).exists()


def write(key: str, value: str) -> None:
    try:
        (_ROOT / key).write_text(value)
    except FileNotFoundError as error:
        what = f"the kernel has no sysctl {key}"
        raise GuestnetError(what, "IPv6 may be switched off; without it write ipv6: none") from error
    except OSError as error:
        what = f"sysctl {key} can't be set to {value}: {error.strerror}"
        raise GuestnetError(what, READ_ONLY if error.errno == errno.EROFS else remedy(error)) from error
