"""Where the lab keeps what is expensive to make: packages, the guest's image, compiled programs, libvirt's warm cache.

Things are made under a temporary name and renamed, under a lock, so that several test processes can share the cache and
an interrupted one leaves nothing half made.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

LAB = Path(__file__).resolve().parent
REPOSITORY = LAB.parent


def directory() -> Path:
    """The cache: $GUESTNET_LAB_CACHE, else .cache/lab in the repository."""
    found = Path(os.environ.get("GUESTNET_LAB_CACHE") or REPOSITORY / ".cache" / "lab").absolute()
    found.mkdir(parents=True, exist_ok=True)
    return found


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name` of the cache; the kernel lets go of it when this process ends, however it ends."""
    with (directory() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def digest(parts: Iterable[str | bytes]) -> str:
    """A short name for these inputs: equal exactly when all of them are, in order."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big") + data)
    return sha.hexdigest()[:16]


def made(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The directory `kind`-`key` of the cache; `make` fills it, given a temporary directory, when it is not there yet.

    Older directories of the same kind stay: another test process may be using them. `forget` removes them.
    """
    wanted = directory() / f"{kind}-{key}"
    if wanted.is_dir():
        return wanted
    with locked(kind):
        if wanted.is_dir():
            return wanted
        temporary = Path(tempfile.mkdtemp(prefix=f".{kind}-", dir=directory()))
        try:
            temporary.chmod(0o755)
            make(temporary)
            temporary.rename(wanted)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return wanted


def forget(kind: str, *, but: Path | None = None) -> list[Path]:
    """Remove all directories of a kind, except one; returns what was removed."""
    old = [path for path in directory().glob(f"{kind}-*") if path.is_dir() and path != but]
    for path in old:
        shutil.rmtree(path)
    return old
