"""What is remembered of each guest whose gai.conf we wrote: what was there before, and what we made of it.

JSON with a version; `host.preferences` keeps it in FOLDER, a file a guest.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

from guestnet.compile.dhcp import file_name
from guestnet.words.problems import GuestnetError

FOLDER = "/var/lib/guestnet/prefer-ipv6"
VERSION = 1


@dataclass(frozen=True)
class Record:
    """before: the file as it was, None: there was none; wrote: as we left it. uuid: of the domain; another one of
    that name is another guest. by_hand: `prefer-ipv6` asked for it, not the file. done False: begun, or `refused` for
    this reason. libc: whose the guest's resolver is. damaged: the record's own text, which nobody can read."""

    guest: str
    uuid: str
    prefixes: tuple[str, ...] = ()
    by_hand: bool = False
    done: bool = False
    before: bytes | None = None
    wrote: bytes | None = None
    refused: str = ""
    libc: str = "glibc"
    damaged: str = ""

    @property
    def begun(self) -> bool:
        """Our lines may be in the guest's file."""
        return self.wrote is not None


def path_of(guest: str) -> str:
    return f"{FOLDER}/{file_name(guest)}"


def to_text(record: Record) -> str:
    if record.damaged:
        return record.damaged
    data: dict[str, Any] = {"version": VERSION, **vars(record)}
    del data["damaged"]
    data |= {key: None if data[key] is None else b64encode(data[key]).decode() for key in ("before", "wrote")}
    return json.dumps(data, indent=1) + "\n"


def from_text(text: str, path: str) -> Record:
    """Raises GuestnetError when it is damaged or of a newer guestnet."""
    try:
        data = json.loads(text)
        if data.pop("version") != VERSION:
            raise ValueError("of another version")
        for key in ("before", "wrote"):
            data[key] = None if data[key] is None else b64decode(data[key], validate=True)
        return Record(**{**data, "prefixes": tuple(map(str, data["prefixes"]))})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        todo = "remove it: what guestnet wrote in that guest's /etc/gai.conf then stays, between its marks"
        raise GuestnetError(f"{path} is damaged, or of a newer guestnet", todo) from None
