"""The journal: what an apply has begun, on disk before it is done, so that a killed one can be taken back.

One JSON line a step, each written and synced before its step. A journal that is there at the start of an apply was left
by one that did not end: its steps are undone first, last one first. Undoing sets each thing to what it was, whether or
not its step had happened, so it can itself be repeated.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from guestnet.decide.state import Change, from_data, to_data
from guestnet.host import files
from guestnet.words.problems import GuestnetError

PATH = Path("/var/lib/guestnet/journal")
_VERSION = {"guestnet journal": 1}


class Journal:
    """An open journal of this apply."""

    def __init__(self, path: Path = PATH) -> None:
        self._path = path
        files.make_folder(str(path.parent))
        self._file = path.open("x", encoding="utf-8")  # a left one is recovered before: see `left`
        os.fchmod(self._file.fileno(), 0o600)
        self._write(_VERSION)

    def begin(self, *changes: Change) -> None:
        """Call before these steps are done."""
        self._write(*map(to_data, changes))

    def close(self) -> None:
        """The apply has ended, done or undone: nothing is left to take back."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _write(self, *data: object) -> None:
        self._file.writelines(json.dumps(one) + "\n" for one in data)
        self._file.flush()
        os.fsync(self._file.fileno())


def left(path: Path = PATH) -> tuple[Change, ...] | None:
    """The steps that a killed apply had begun, in their order; None when there was none.

    A last line cut short by a crash was not synced, so its step had not begun: it is passed over.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GuestnetError(f"{path}: {error.strerror}", "run guestnet as root") from error
    whole = [line for line in lines if line.endswith("\n")]
    try:
        if whole and json.loads(whole[0]) != _VERSION:
            raise ValueError("version")
        return tuple(from_data(json.loads(line)) for line in whole[1:])
    except (ValueError, KeyError, TypeError) as error:
        what = f"{path} was left by an apply that was cut off, and can't be read (another version of guestnet?)"
        raise GuestnetError(
            what, "use that version to apply again, or move the file away to go on without it"
        ) from error


def forget(path: Path = PATH) -> None:
    path.unlink(missing_ok=True)
