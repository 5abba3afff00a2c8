"""What a person can do about what the system refused."""

from __future__ import annotations

import errno

_ROOT, _ROOM = "run guestnet as root", "make room there, then try again"
_TODO = {
    errno.EACCES: _ROOT,
    errno.EPERM: _ROOT,
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EROFS: "mount that read-write, then try again",
}


def remedy(error: OSError) -> str:
    """By its errno; what to do about most of them only the reason itself tells."""
    return _TODO.get(error.errno or 0, "see to it, then try again")
