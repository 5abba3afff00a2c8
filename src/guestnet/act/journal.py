"""The journal: what an apply has begun, on disk before it is done, so that a killed one can be taken back.

One JSON line a step, each written and synced before its step, below a first line that says whose steps they are. A
journal that is there at the start of an apply was left by one that did not end: its steps are undone first, last one
first. Undoing sets each thing to what it was, whether or not its step had happened, so it can itself be repeated.

When an apply has ended, its journal becomes the rollback point, by one rename: what `guestnet rollback` goes by.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from secrets import token_hex

from guestnet.decide.names import possible
from guestnet.decide.state import Change, from_data, to_data
from guestnet.host import files
from guestnet.words.problems import GuestnetError
from guestnet.words.remedy import remedy

PATH = Path("/var/lib/guestnet/journal")
POINT = Path("/var/lib/guestnet/rollback")
DAMAGED = ".damaged"  # added to the name of a journal that can't be read
_KIND, _VERSION, _END = "guestnet journal", 2, "end"
DESTROY = "destroy"  # the verb of one after which nothing of ours is left
ROLLBACK = "rollback"  # the verb of one that goes back itself


@dataclass(frozen=True)
class Edit:
    """The file as `forward add` and the like found it, and as they wrote it."""

    before: str
    after: str


@dataclass(frozen=True)
class Head:
    """Whose steps they are. at: seconds since 1970; file: the path of the file that was applied, "" for none; memory:
    what was remembered, to be had back should its own file be damaged."""

    verb: str
    file: str = ""
    edit: Edit | None = None
    memory: str = ""
    id: str = field(default_factory=lambda: token_hex(8))
    at: float = field(default_factory=time.time)

    @property
    def when(self) -> str:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.at))


@dataclass(frozen=True)
class Begun:
    """What an apply did: its steps in their order."""

    head: Head
    changes: tuple[Change, ...]


class DamagedError(GuestnetError):
    """A journal or rollback point of this or an older version that can't be read."""


class Journal:
    """An open journal of this apply."""

    def __init__(self, head: Head, path: Path = PATH) -> None:
        self._path = path
        self._count = 0
        files.make_folder(str(path.parent))
        # It appears with its first line: one that says not whose steps it holds would tell nothing.
        new = files.temporary_of(path)
        try:
            self._descriptor = files.new(new)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            self._write({_KIND: _VERSION, **asdict(head)})
            new.rename(path)
            files.sync(path.parent)  # its name, too, is on disk before the first step
        except BaseException as error:
            new.unlink(missing_ok=True)
            self.close()
            if isinstance(error, OSError):
                raise _unwritable(path, error) from error
            raise

    def begin(self, *changes: Change) -> None:
        """Call before these steps are done."""
        self._write(*map(to_data, changes))
        self._count += len(changes)

    def close(self) -> None:
        """The apply has ended, done or undone: nothing is left to take back."""
        os.close(self._descriptor)
        forget(self._path)

    def keep(self, point: Path = POINT) -> None:
        """The apply has ended, done: from now on this is the way back from it, instead of the one before."""
        self._write({_END: self._count})
        try:
            self._path.rename(point)
        except OSError as error:
            raise _unwritable(point, error) from error
        os.close(self._descriptor)
        with contextlib.suppress(OSError):
            files.sync(point.parent)

    def _write(self, *data: object) -> None:
        try:
            text = memoryview("".join(json.dumps(one) + "\n" for one in data).encode())
            while text:
                text = text[os.write(self._descriptor, text) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise _unwritable(self._path, error) from error


def left(path: Path = PATH) -> Begun | None:
    """What a killed apply had begun; None when there was none.

    A last line cut short by a crash was not synced, so its step had not begun: it is passed over. Raises DamagedError
    when more than that is wrong with it.
    """
    found = _read(path)
    if found is None:
        return None
    head, lines = found
    if lines and _END in lines[-1]:
        lines.pop()  # it was killed when all was done, and had not become the rollback point
    return Begun(head, _changes(path, lines))


def point(path: Path = POINT) -> Begun | None:
    """The way back from the last apply; None when there is none. Raises DamagedError when it is not whole."""
    found = _read(path)
    if found is None:
        return None
    head, lines = found
    if not lines or lines.pop() != {_END: len(lines)}:
        raise _damaged(path)
    return Begun(head, _changes(path, lines))


def forget(path: Path = PATH) -> None:
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # when it is there again after a loss of power, it is taken back again
        files.sync(path.parent)


def tidy() -> None:
    """Removes what one leaves that was killed before it had begun."""
    files.temporary_of(PATH).unlink(missing_ok=True)


def move_away(path: Path = PATH) -> Path:
    """Another name for what can't be read, so that it is in nobody's way and can be looked at. Returns it."""
    aside = path.with_name(path.name + DAMAGED)
    path.rename(aside)
    return aside


def _read(path: Path) -> tuple[Head, list[dict[str, object]]] | None:
    """The first line and the others. Of a file without one whole line nothing had begun."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GuestnetError(f"{path}: {error.strerror}", remedy(error)) from error
    whole = [line for line in lines if line.endswith(b"\n")]
    if not whole:
        return Head("?", id=""), []
    try:
        first, *rest = (json.loads(line) for line in whole)
        version = first.pop(_KIND)
        if isinstance(version, int) and version > _VERSION:
            todo = "use that one again; or move the file away to go on without it"
            raise GuestnetError(f"{path} was written by a newer guestnet", todo)
        if version != _VERSION or not all(isinstance(line, dict) for line in rest):
            raise ValueError(version)
        edit = first.pop("edit")
        return Head(**first, edit=None if edit is None else Edit(**edit)), rest
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path) from error


def _changes(path: Path, lines: list[dict[str, object]]) -> tuple[Change, ...]:
    try:
        changes = tuple(map(from_data, lines))
        if not all(possible(change.key) for change in changes):
            raise ValueError
        return changes
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error


def _unwritable(path: Path, error: OSError) -> GuestnetError:
    return GuestnetError(f"{path} can't be written: {error.strerror}", remedy(error))


def _damaged(path: Path) -> DamagedError:
    return DamagedError(f"{path} is damaged, or of an older guestnet")
