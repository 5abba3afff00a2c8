"""What a lab leaves on this machine's disk: one directory, with a record of who owns it and which processes hold it.

The record is what `lab.clean` goes by after a lab was killed. It must hold no more than that.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.errors import LabError
from lab.namespace import Process

RECORD = "lab.json"


def home() -> Path:
    """The directory that all labs' directories of this user are in."""
    found = Path(tempfile.gettempdir()) / f"guestnet-lab-{os.getuid()}"
    found.mkdir(mode=0o755, exist_ok=True)
    if found.is_symlink() or found.stat().st_uid != os.getuid():
        raise LabError(f"{found} is not ours")
    return found


@dataclass(frozen=True)
class Record:
    """owner: the process that made the lab. trees: process 1 of each of its process trees."""

    owner: Process
    trees: tuple[Process, ...] = ()


def make(name: str) -> Path:
    """A new directory for a lab of this process."""
    directory = Path(tempfile.mkdtemp(prefix=f"{name}-{os.getpid()}-", dir=home()))
    # dnsmasq runs as its own user and reads what is mounted from in here.
    directory.chmod(0o755)
    write(directory, ())
    return directory


def write(directory: Path, trees: tuple[Process, ...]) -> None:
    owner = Process.of(os.getpid())
    if owner is None:
        raise LabError("this process is not in /proc")
    temporary = directory / f".{RECORD}"
    temporary.write_text(json.dumps(asdict(Record(owner, trees))))
    temporary.rename(directory / RECORD)


def read(directory: Path) -> Record | None:
    """The record of a lab's directory, None when there is none that can be read."""
    try:
        found = json.loads((directory / RECORD).read_text())
        return Record(Process(**found["owner"]), tuple(Process(**tree) for tree in found["trees"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove(directory: Path) -> None:
    """Remove a lab's directory. Its overlays were mounted in the lab's own mount namespaces only."""
    if directory.parent != home():
        raise LabError(f"{directory} is no directory of a lab")
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        # Somebody wrote while we removed: a dying process of the lab.
        shutil.rmtree(directory)
    with suppress(OSError):
        home().rmdir()  # refused while another lab has its directory there
