"""Guests that put IPv6 first: what was written in them, remembered on this host, and kept in step with it.

The record is written before the guest's file: whatever is interrupted, what was there before is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from guestnet.decide.prefer import block
from guestnet.decide.prefer.record import FOLDER, Record, from_text, path_of, to_text
from guestnet.decide.prefer.wanted import SECRET
from guestnet.decide.state import File, Prefer
from guestnet.host import files, guestgai
from guestnet.host.agent import Agent
from guestnet.host.guestgai import Found
from guestnet.host.uplink6 import uplink6_now
from guestnet.words.problems import AsideError, GuestnetError, WrongError

if TYPE_CHECKING:  # `select` looks at records, and needs no libvirt
    from guestnet.host.libvirt import Libvirt


class RefusedError(AsideError):
    """What is in the guest is such that asking again is of no use, until somebody changes that."""


def records() -> Mapping[str, Record]:
    """By guest. Of a damaged one nothing is known but whose it is, so it is of no domain, and goes with the next apply;
    what was written in the guest stands between our marks there."""
    found = [record for record in map(_known, files.names(FOLDER)) if record]
    return {record.guest: record for record in found}


def _known(path: str) -> Record | None:
    try:
        return _read(path)
    except GuestnetError:
        file = files.read(path)
        return Record(unquote(Path(path).name), "", damaged=file.text) if file else None


def _read(path: str) -> Record | None:
    """Raises GuestnetError when it is damaged."""
    file = files.read(path)
    return from_text(file.text, path) if file else None


def of(guest: str) -> Record | None:
    return _read(path_of(guest))


def put(libvirt: Libvirt, guest: str, after: Prefer | None) -> None:
    """Makes the guest's file so; for `host.put`. Raises AsideError."""
    record = _known(path_of(guest))
    if after is None:
        if record is not None:
            restore(Agent(libvirt.ask_agent, guest), record)
        return
    if record and record.done and (record.uuid, record.prefixes) == (after.uuid, after.prefixes):
        _write(replace(record, by_hand=after.by_hand))
        return
    uplink = uplink6_now()
    if not uplink.works:
        why = f"prefer_ipv6 of guest {guest}: the host's IPv6 does not get out, and would wait in vain: {uplink.seen}"
        raise AsideError(why, uplink.todo)
    agent = Agent(libvirt.ask_agent, guest)
    write(agent, guestgai.look(agent), after)


def write(agent: Agent, found: Found, wanted: Prefer) -> Record:
    """Our lines into the guest's file, and what is remembered of it. Raises RefusedError, which is remembered too, and
    AsideError."""
    old = of(agent.guest)
    if old and old.uuid != wanted.uuid:
        old = None
    record = Record(agent.guest, wanted.uuid, wanted.prefixes, wanted.by_hand, libc=found.libc)
    try:
        _may(found)
        before = original(found.content, old)
        content = block.merged(found.content or b"", map(IPv6Network, wanted.prefixes))
    except (RefusedError, WrongError) as error:
        where = f"its {guestgai.PATH}: " if isinstance(error, WrongError) else ""
        refused = RefusedError(f"{where}{error.what}", error.todo)
        if old is None or not old.done:
            _write(replace(record, refused=str(refused)))  # the notes name the guest
        raise RefusedError(f"guest {agent.guest}: {refused.what}", refused.todo) from None
    record = replace(record, before=before, wrote=content)
    if old is None or not old.done:
        _write(record)
    guestgai.put(agent, found, content)
    _write(replace(record, done=True))
    return record


def _may(found: Found) -> None:
    if found.why_not:
        raise RefusedError(f"its {guestgai.PATH} {found.why_not}", "see to it there")
    if found.libc == "windows":
        raise RefusedError("it runs Windows, which has no gai.conf", "guestnet prefer-ipv6 prints the netsh lines")
    if found.libc != "glibc":
        what = f"its resolver is musl's ({found.version}), which has" if found.libc == "musl" else "it has"
        missing = "no gai.conf" if found.libc == "musl" else "no getent of glibc, and so, it seems, no use for gai.conf"
        help_ = "a global address makes IPv6 first in every resolver: give its network a global IPv6 prefix"
        raise RefusedError(f"{what} {missing}", help_)


def original(content: bytes | None, record: Record | None) -> bytes | None:
    """The file as it would be without us; None: there would be none. Raises WrongError.

    Without a record, of which destroy leaves none, nobody knows whether there was an empty file or none: glibc takes
    both alike.
    """
    if content is None:
        return None
    rest = block.without(content)
    if record is None and not rest and content:
        return None
    same = record is not None and rest != content and rest == (record.before or b"")
    return record.before if record and same else rest


def restore(agent: Agent, record: Record | None) -> bool:
    """The guest's file as it was before us; what others changed in it since stays. False when nothing of ours was in
    it. Raises AsideError."""
    found = guestgai.look(agent)
    if found.why_not:
        raise RefusedError(f"{guestgai.PATH} of guest {agent.guest} {found.why_not}", "see to it there")
    try:
        before = original(found.content, record)
    except WrongError as error:
        raise RefusedError(f"{guestgai.PATH} of guest {agent.guest}: {error.what}", error.todo) from None
    guestgai.put(agent, found, before)
    if record is not None:
        forget(record)
    return before != found.content


def forget(record: Record) -> None:
    files.remove(path_of(record.guest))


def _write(record: Record) -> None:
    files.write(path_of(record.guest), File(to_text(record), SECRET))
