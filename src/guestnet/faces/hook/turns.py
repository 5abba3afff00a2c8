"""One run of the hook at a time; and one that was cut off is noticed by the next."""

import fcntl
import os

from guestnet.faces.hook.programs import log
from guestnet.faces.hook.table import rebuild

TYPE_CHECKING = False  # not from typing: that import costs more than the hook has
if TYPE_CHECKING:
    from collections.abc import Callable

RUN = "/run/guestnet"
LOCK = f"{RUN}/rules.lock"


def with_lock(sure: dict[str, bool], act: "Callable[[], object]") -> None:
    """One change of the rules at a time. Of runs that were killed, or failed, nobody knows how far they came: then
    everything is put in anew."""
    try:
        descriptor, cut_off = turn()
    except OSError as trouble:  # as with a full /run: rather without a turn than a guest without isolation
        log(f"{RUN}: {trouble}; other runs are not waited for")
        act()
        return
    act()
    if cut_off:
        log(f"{len(cut_off)} earlier runs did not finish; all forwards are put in anew")
        rebuild(sure)
    for mark in {own(), *cut_off}:
        os.unlink(mark)
    os.close(descriptor)


def turn() -> tuple[int, list[str]]:
    """Waits for it. Returns the lock, and the marks of runs that were cut off.

    The lock is held by what this started, too: an nft that outlives a killed run must not change what the next one did.
    Each run leaves a mark, locked as long as it lives, before it waits, and takes it away when it is done.
    """
    os.makedirs(RUN, 0o755, exist_ok=True)
    stale = [own()] if os.path.exists(own()) else []  # of an earlier process with our id
    for mark in stale:
        os.unlink(mark)
    # It has no name until it is locked, so no other run can take it for abandoned. (With src_dir_fd Python calls
    # linkat(2), which follows the link in /proc, as open(2) has it for O_TMPFILE.)
    new = os.open(RUN, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    fcntl.flock(new, fcntl.LOCK_EX)
    os.link(f"/proc/self/fd/{new}", own(), src_dir_fd=new)
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.set_inheritable(descriptor, True)
    # Who finishes takes its mark away under this lock, so none of those is seen here.
    marks = [f"{RUN}/{file}" for file in os.listdir(RUN) if file.startswith("busy.")]
    return descriptor, [*stale, *filter(abandoned, marks)]


def own() -> str:
    return f"{RUN}/busy.{os.getpid()}"


def abandoned(path: str) -> bool:
    """Whether nobody holds a mark. Its name, a process id, says nothing: ids are given anew."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
