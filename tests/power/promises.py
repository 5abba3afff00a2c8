"""What must hold on the disk whenever the power goes, for a recorded run: see broken()."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from guestnet.act.journal import Begun, DamagedError, left, point
from guestnet.decide.state import Key
from tests.power.disk import TORN, Disk

JOURNAL, POINT = "/var/lib/guestnet/journal", "/var/lib/guestnet/rollback"
Record = Mapping[str, Any]


@dataclass
class Promises:
    """may: by path what can be there: what there was, and what is being written. Of a path that is not in it, what was
    there before the run. begun: steps that the journal must know; None: nothing has begun, or all has ended.
    ending: the journal itself comes, or goes. kept: the id in the way back
    that is promised; "" for none, None for whatever was there."""

    before: Mapping[str, str]
    may: dict[str, set[str | None]] = field(default_factory=dict)
    begun: set[Key] | None = None
    ending: bool = False
    id: str = ""
    kept: str | None = None

    def hear(self, event: list[Any]) -> bool:
        """A mark in the record; whether it promises more."""
        match event:
            case ["will", path, value]:
                self.may.setdefault(path, {self.before.get(path)}).add(value)
                return False
            case ["is", path, value]:
                self.may[path] = {value}
            case ["rmdir", path]:
                self.may[path] = {"folder", None}  # it was empty: no matter whether it is there again
            case ["beginning"]:
                self.begun, self.ending = set(), True
                return False
            case ["begun", name]:
                self.id, self.begun, self.ending = name, set(), False
            case ["step", kind, name]:
                assert self.begun is not None, "a step without a journal"
                self.begun.add(Key(kind, name))
            case ["ending"]:
                self.ending = True
                return False
            case ["ended", how]:
                self.begun, self.ending = None, False
                self.kept = self.id if how == "kept" else self.kept
            case ["no way back"]:
                self.kept = ""
            case _:
                return False
        return True

    def broken(self, there: Mapping[str, str]) -> Iterator[str]:
        """By what a disk has after a loss of power."""
        yield from self._files(there)
        yield from self._journal(there)

    def _files(self, there: Mapping[str, str]) -> Iterator[str]:
        for path in {**self.before, **self.may, **there}:
            value = there.get(path)
            if path.rpartition("/")[2].startswith(".") or path in (JOURNAL, POINT):
                continue  # the next write makes it anew
            if value is not None and value.startswith(TORN):
                yield f"{path} is torn: {value}"
            elif value not in self.may.get(path, {self.before.get(path)}) and (path in self.may or value != "folder"):
                yield f"{path} holds {value}"

    def _journal(self, there: Mapping[str, str]) -> Iterator[str]:
        journal, kept = (there.get(path, "").partition(":")[2] for path in (JOURNAL, POINT))
        if JOURNAL in there:
            found = read(journal, left)
            if found is None or not found.head.id:
                yield "the journal does not say whose it is"
            elif self.begun is None:
                yield "the journal is there again"
            elif not self.ending and (missing := self.begun - {change.key for change in found.changes}):
                yield f"the journal does not know of {missing}"
        elif self.begun is not None and not self.ending:
            yield "there is no journal"
        way = read(kept, point) if POINT in there else None
        if POINT in there and way is None:
            yield "the way back is damaged"
        elif self.kept is not None and (way.head.id if way else "") != self.kept:
            yield "the way back is not that of what was done last"


def broken(record: Record) -> Iterator[str]:
    """What is wrong after a loss of power at any moment: a file of ours that is neither what it was nor what it was to
    be, or is not what it was said to be; a step begun that is not in the journal; a journal that is there again after
    its end; a way back that is not that of what was done."""
    disk, promises = Disk(record["before"]), Promises(record["before"])
    if JOURNAL in record["before"]:
        promises.begun = set()
    for number, event in enumerate(record["events"]):
        changed = disk.happen(event)
        if promises.hear(event) or changed:
            for there in disk.survivors():
                yield from (f"after {number} {event}: {what}" for what in promises.broken(there))


@cache
def read(text: str, by: Callable[[Path], Begun | None]) -> Begun | None:
    """A journal, or a way back; None when it is damaged."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_text(text)
        try:
            return by(path)
        except DamagedError:
            return None
