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
    """One change of the rules at a time. The lock is held by what this started, too: an nft that outlives a killed run
    must not change what the next one did.

    Each run leaves a mark, locked as long as it lives, before it waits, and takes it away when it is done. One that
    nobody holds is of a run that was killed, or failed: nobody knows how far it came, so everything is put in anew.
    """
    os.makedirs(RUN, 0o755, exist_ok=True)
    own = f"busy.{os.getpid()}"
    stale = os.path.exists(f"{RUN}/{own}")  # of an earlier process with our id
    if stale:
        os.unlink(f"{RUN}/{own}")
    # It has no name until it is locked, so no other run can take it for abandoned. (With src_dir_fd Python calls
    # linkat(2), which follows the link in /proc, as open(2) has it for O_TMPFILE.)
    mark = os.open(RUN, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    fcntl.flock(mark, fcntl.LOCK_EX)
    os.link(f"/proc/self/fd/{mark}", f"{RUN}/{own}", src_dir_fd=mark)
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.set_inheritable(descriptor, True)
    # Who finishes takes its mark away under this lock, so none of those is seen here.
    dead = [file for file in os.listdir(RUN) if file.startswith("busy.") and abandoned(f"{RUN}/{file}")]
    act()
    if dead or stale:
        log(f"{len(dead) + stale} earlier runs did not finish; all forwards are put in anew")
        rebuild(sure)
        for file in dead:
            os.unlink(f"{RUN}/{file}")
    os.unlink(f"{RUN}/{own}")
    os.close(descriptor)


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
