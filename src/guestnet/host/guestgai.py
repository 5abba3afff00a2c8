"""/etc/gai.conf inside a guest, by its agent: read, put in place whole, and what the guest's resolver answers.

A new file is written beside the old one, compared there with what was sent, and renamed: whatever happens in between,
the guest has the old file or the new one, and nobody but its root could write into it. Its programs are asked with a
POSIX shell, which Linux guests have.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from guestnet.host.agent import Agent, Ran
from guestnet.words.problems import AsideError, GuestnetError, SilentError
from guestnet.words.shown import shown

PATH, NEW = "/etc/gai.conf", "/etc/.gai.conf.guestnet-new"
MOST = 4 << 20  # bytes; glibc's own is 3 kB
_NONE = "-"

_LOOK = f"""
f={PATH}
if [ -L "$f" ]; then echo "link $(readlink "$f")"
elif [ -f "$f" ]; then echo "file $(stat -c '%s %a %u:%g' "$f")"
elif [ -e "$f" ]; then echo "strange thing"
else echo "none there"; fi
echo "getent $(getent --version 2>&1 | head -n 1)"
for one in /lib/ld-musl-*; do [ ! -e "$one" ] || echo "musl $one"; done
"""
# qemu-ga gives new files mode 0666 (8.2: DEFAULT_NEW_FILE_MODE), and keeps that of one that is there: whoever had
# opened the file before it got its own mode could write into it for ever.
_MAKE = 'umask 077 && rm -f "$1" && set -C && : >"$1"'
# What there is must be as it was read, and the new file as it was sent. coreutils' sync takes a file; others sync all.
_PUT = f"""
f={PATH} new={NEW}
sum() {{ sha256sum <"$1" | cut -c 1-64; }}
fail() {{ rm -f "$new"; echo "$1" >&2; exit 1; }}
now={_NONE}
if [ -L "$f" ] || [ -e "$f" ]; then now=$(sum "$f"); fi
[ "$now" = "$1" ] || fail "$f was changed meanwhile by somebody else"
if [ "$2" = {_NONE} ]; then rm -f "$f" "$new" && sync; exit; fi
[ "$(sum "$new")" = "$2" ] || fail "what arrived is not what was sent"
chmod "$3" "$new" && chown "$4" "$new" || fail "$new: no mode or owner can be set"
sync "$new" 2>/dev/null || sync
mv -f "$new" "$f" || fail "$new can't be renamed"
sync "${{f%/*}}" 2>/dev/null || sync
"""
# A resolver that gets no answer goes on asking for half a minute.
_ANSWERS = 'if command -v timeout >/dev/null; then exec timeout 15 getent ahosts "$1"; fi; exec getent ahosts "$1"'
_FULL = re.compile(r"no space left|quota exceeded", re.IGNORECASE)
_READ_ONLY = re.compile(r"read-only file system", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?")

Libc = Literal["glibc", "musl", "windows", ""]


@dataclass(frozen=True)
class Found:
    """libc "" is another one, or none; version as the guest says it. content None: there is no such file, or one that
    is not for us, as `why_not` says; mode and owner as chmod and chown take them."""

    libc: Libc
    version: str = ""
    content: bytes | None = None
    mode: str = "644"
    owner: str = "0:0"
    why_not: str = ""


def look(agent: Agent) -> Found:
    """Raises AsideError."""
    system = _system(agent)
    if system is not None:
        return Found("windows", system)
    lines = _sh(agent, "looking at its /etc/gai.conf", _LOOK).out.decode("utf-8", "replace").splitlines()
    told = {word: rest for word, _, rest in (line.partition(" ") for line in lines)}
    version = shown(told.get("getent", ""))
    if not re.search(r"glibc|GNU libc", version, re.IGNORECASE):
        return Found("musl" if "musl" in told else "", shown(told.get("musl", version)))
    version = f"glibc {version.rpartition(' ')[2]}"
    if "none" in told:
        return Found("glibc", version)
    there = re.fullmatch(r"(\d+) ([0-7]{3,4}) (\d+:\d+)", told.get("file", ""))
    why_not = "is no file that can be read"
    if "link" in told:
        why_not = f"is a link to {shown(told['link'])}: something else makes that file"
    elif there and int(there[1]) > MOST:
        why_not = f"has {int(there[1]) / (1 << 20):.1f} MB; up to {MOST >> 20} are read"
    elif there:
        return Found("glibc", version, agent.read(PATH, MOST), there[2], there[3])
    return Found("glibc", version, why_not=why_not)


def _system(agent: Agent) -> str | None:
    """What Windows calls itself; None for others, also those whose agent does not say (before QEMU 2.10)."""
    try:
        system = agent.call("guest-get-osinfo")
    except SilentError:
        raise
    except AsideError:
        return None
    if not isinstance(system, dict) or system.get("id") != "mswindows":
        return None
    return shown(str(system.get("pretty-name", "Windows")))


def put(agent: Agent, found: Found, after: bytes | None) -> None:
    """Makes the file `after`; None takes it away. Raises AsideError; then it is as it was, unless the agent ceased to
    answer: then it is as it was, or `after`."""
    if after == found.content:
        return
    try:
        if after is not None:
            _sh(agent, f"making {NEW}", _MAKE, NEW)
            agent.write(NEW, after)
        _sh(agent, f"writing its {PATH}", _PUT, _sum(found.content), _sum(after), found.mode, found.owner)
    except AsideError as error:
        with contextlib.suppress(AsideError):
            agent.run("/bin/rm", "-f", NEW)
        todo = _remedy(agent.guest, error.what)
        if todo and not isinstance(error, SilentError):
            raise AsideError(error.what, f"its file is as it was; {todo}") from error
        raise


def _remedy(guest: str, said: str) -> str:
    if _FULL.search(said):
        return "make room on its disk, then do the same again"
    if _READ_ONLY.search(said):
        way = f"guestnet prefer-ipv6 {guest} --print file has the lines"
        return f"make its /etc writable, or put them into what its /etc is made from: {way}"
    return ""


def _sum(content: bytes | None) -> str:
    return _NONE if content is None else hashlib.sha256(content).hexdigest()


def name_of(text: str) -> str:
    """A host's name, as the guest can be asked for it. Raises GuestnetError."""
    if not _NAME.fullmatch(text):
        raise GuestnetError(f"{shown(text)} is no name of a host", "write one such as www.example.org")
    return text


def answers(agent: Agent, name: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """The addresses of a name, in the order in which a fresh process in the guest gets them; () when it has none."""
    found = agent.run("/bin/sh", "-c", _ANSWERS, "sh", name).out.decode("utf-8", "replace")
    there: list[IPv4Address | IPv6Address] = []
    for line in found.splitlines():
        with contextlib.suppress(ValueError, IndexError):
            there.append(ip_address(line.split()[0]))
    return tuple(dict.fromkeys(there))


def _sh(agent: Agent, doing: str, script: str, *words: str) -> Ran:
    ran = agent.run("/bin/sh", "-c", script, "sh", *words)
    if ran.code:
        said = shown(ran.err or ran.out) or f"exit code {ran.code}"
        raise AsideError(f"guest {agent.guest}: {doing}: {said}", "its file is as it was; look at it there")
    return ran
