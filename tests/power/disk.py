"""A disk that keeps only what was synced: what can be on it after the power went at any moment of a recorded run.

The strictest reading of POSIX: of a file, the text that it had at its last fsync; of a folder, the names that it had at
its last fsync, and of what was done to names since then nothing, or the first so many, or all. A file that was not
synced since it was opened to be written is a torn one. A new folder is there when its parent was synced.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

TORN = "torn:"


@dataclass(eq=False)
class File:
    """`text`: as it was synced last; `whole`: it has not been written to since."""

    text: str
    whole: bool = True


@dataclass(eq=False)
class Link:
    target: str


@dataclass(eq=False)
class Folder:
    """`kept`: its names as they were synced last; `since`: what was done to them, each in one."""

    kept: dict[str, Node] = field(default_factory=dict)
    since: list[dict[str, Node | None]] = field(default_factory=list)

    def names(self, so_many: int | None = None) -> dict[str, Node]:
        found: dict[str, Node | None] = dict(self.kept)
        for one in self.since[:so_many]:
            found |= one
        return {name: node for name, node in found.items() if node is not None}


Node = File | Link | Folder


class Disk:
    def __init__(self, before: Mapping[str, str]) -> None:
        self._root = Folder()
        self._open: dict[int, Node | None] = {}
        for path, value in sorted(before.items()):
            parent = self._folder(path, make=True)
            parent.kept[_name(path)] = _node(value)

    def happen(self, event: list[Any]) -> bool:
        """One event of a record; whether it changes anything about what is on the disk, or could be."""
        match event:
            case ["open", path, flags]:
                self._opened(path, flags)
            case ["fd", number, path]:
                self._open[number] = self._at(path) if path else None
                return False
            case ["write", number]:
                node = self._open.get(number)
                if isinstance(node, File):
                    node.whole = False
            case ["fsync", number, text]:
                return self._sync(self._open.get(number), text)
            case ["rename", old, new]:
                assert old.rpartition("/")[0] == new.rpartition("/")[0], "it stays in its folder"
                self._folder(old).since.append({_name(new): self._at(old), _name(old): None})
            case ["remove" | "rmdir", path]:
                self._folder(path).since.append({_name(path): None})
            case ["mkdir", path]:
                self._folder(path).since.append({_name(path): Folder()})
            case ["symlink", target, path]:
                self._folder(path).since.append({_name(path): Link(target)})
            case _:
                return False
        return True

    def survivors(self) -> Iterator[dict[str, str]]:
        """What can be there after a loss of power now: path -> folder, link:TARGET, file:TEXT, torn:TEXT."""
        restless = [folder for folder in self._folders(self._root) if folder.since]
        for others in (0, None) if restless else (None,):
            yield dict(_flat(self._root, {}, others))
            for one in restless:
                for so_many in range(len(one.since) + 1):
                    yield dict(_flat(self._root, {id(one): so_many}, others))

    def _sync(self, node: Node | None, text: str) -> bool:
        match node:
            case Folder():
                changed = bool(node.since)
                node.kept, node.since = node.names(), []
            case File():
                changed = not node.whole
                node.text, node.whole = text, True
            case _:
                changed = False
        return changed

    def _opened(self, path: str, flags: int) -> None:
        node = self._at(path)
        if node is None:
            self._folder(path).since.append({_name(path): File("", whole=False)})
        elif isinstance(node, File):
            node.whole = False
            if flags & os.O_TRUNC:
                node.text = ""

    def _folder(self, path: str, *, make: bool = False) -> Folder:
        node: Node = self._root
        for part in path.split("/")[1:-1]:
            assert isinstance(node, Folder)
            if make and part not in node.kept:
                node.kept[part] = Folder()
            node = node.names()[part]
        assert isinstance(node, Folder)
        return node

    def _at(self, path: str) -> Node | None:
        node: Node | None = self._root
        for part in path.split("/")[1:]:
            node = node.names().get(part) if isinstance(node, Folder) else None
        return node

    def _folders(self, folder: Folder) -> Iterator[Folder]:
        yield folder
        for node in folder.names().values():
            if isinstance(node, Folder):
                yield from self._folders(node)


def _flat(folder: Folder, choice: Mapping[int, int], others: int | None, above: str = "") -> Iterator[tuple[str, str]]:
    for name, node in folder.names(choice.get(id(folder), others)).items():
        path = f"{above}/{name}"
        match node:
            case Folder():
                yield path, "folder"
                yield from _flat(node, choice, others, path)
            case Link():
                yield path, f"link:{node.target}"
            case File():
                yield path, f"{'file:' if node.whole else TORN}{node.text}"


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _node(value: str) -> Node:
    kind, _, text = value.partition(":")
    return Folder() if kind == "folder" else Link(text) if kind == "link" else File(text)
