"""/etc/gai.conf as glibc 2.36 reads it, odd lines included, and what a person should know about each of these.

glibc never complains: what it cannot use it drops, silently. So the reading itself is of bytes and can not fail, and
what was dropped, or is not what it seems, comes back as `odd`, by line.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv6Network

from guestnet.decide.select.tables import BITS4, BITS6, GLIBC, LABEL_LINES, Policy, Row, Table, table

MAX_INT, MAX_ULONG = 2**31 - 1, 2**64 - 1
LARGE = 1 << 20  # bytes from which a file is named as large; it is read whole all the same
_MAPPED = b"\0" * 10 + b"\xff\xff"
_MAPPED_ROW = 0xFFFF << BITS4
_V4 = BITS6 - BITS4
_NUMBER = re.compile(rb"(?:([+-]?)([0-9]+))?")
_MANY = 25  # digits, more than 2^64 has
_LONG = 80  # characters of a line that are shown
# It looks where an unset pointer points. Debian 12's 2.36 dropped such `label` and `precedence` lines whenever it was
# asked, and crashed at a first `scopev4` line.
_UNDEFINED = "a prefix without /length: what glibc up to 2.40 makes of it is undefined; left out here"
_CRASHES = f"{_UNDEFINED}, while with Debian 12's each program that resolves a name may crash"


@dataclass(frozen=True)
class Odd:
    """A line that does not do what it seems to; `line` counts from 1, 0 is the whole file."""

    line: int
    text: str
    why: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}: {self.why}" if self.line else self.why


@dataclass(frozen=True)
class GaiConf:
    policy: Policy
    reload: bool = False
    odd: tuple[Odd, ...] = ()


class _DroppedError(Exception):
    """Why glibc drops a line."""


def fix(prefix: IPv6Network) -> str:
    """The file that makes a guest with addresses of a ULA prefix use IPv6: the whole label table, since any label line
    replaces all of it, and a line for the prefix. Precedences are left alone: rule 5 comes before rule 6."""
    return "".join(f"label {row}\n" for row in (*LABEL_LINES, f"{prefix} 1"))


def parse(content: bytes) -> GaiConf:
    rows: dict[str, list[Row]] = {"label": [], "precedence": [], "scopev4": []}
    odd = list(_whole(content))
    reload = False
    for number, line in enumerate(content.split(b"\n"), 1):
        # A string ends at its first NUL; split() takes for white space what isspace() does in the C locale.
        words = line.partition(b"\0")[0].partition(b"#")[0].split()
        if not words:
            continue
        command, first, second, *rest = [*words, b"", b""]
        name = command.decode("latin-1")
        try:
            if name == "reload":
                reload = first == b"yes"
            elif name in rows:
                rows[name].append(_scope(first, second) if name == "scopev4" else _row(first, second))
                odd += [Odd(number, _shown(words), why) for why in _notes(first, second, any(rest))]
            else:
                raise _DroppedError("no keyword that glibc knows; dropped")
        except _DroppedError as why:
            odd.append(Odd(number, _shown(words), str(why)))
    policy = Policy(
        _table(rows["label"], 0, 1) or GLIBC.labels,
        _table(rows["precedence"], 0, 40) or GLIBC.precedences,
        _table(rows["scopev4"], _V4, 14) or GLIBC.scopes,
    )
    return GaiConf(policy, reload, tuple(odd))


def _table(rows: list[Row], shortest: int, default: int) -> Table | None:
    """Any line of a kind replaces glibc's whole table of it; only the row for all the rest is added when it lacks."""
    if not rows:
        return None
    rest = [] if any(row.bits == shortest for row in rows) else [Row(_MAPPED_ROW if shortest else 0, shortest, default)]
    return table([*rows, *rest])


def _row(prefix: bytes, value: bytes) -> Row:
    """Of `label` and `precedence`: IPv6 prefixes, IPv4 only as ::ffff:a.b.c.d/96 and longer."""
    address, bits = _prefix(prefix, _UNDEFINED)
    packed = _packed(socket.AF_INET6, address)
    if packed is None:
        plain4 = _packed(socket.AF_INET, address) is not None
        raise _DroppedError("plain IPv4; dropped: write ::ffff:a.b.c.d/N" if plain4 else "no IPv6 prefix; dropped")
    return Row(int.from_bytes(packed), _number(bits, BITS6, "prefix length"), _number(value, MAX_INT, "value"))


def _scope(prefix: bytes, value: bytes) -> Row:
    """Of `scopev4`: IPv4, plain or mapped."""
    address, bits = _prefix(prefix, _CRASHES)
    mapped, plain = _packed(socket.AF_INET6, address), _packed(socket.AF_INET, address)
    if plain is not None:
        length = _number(bits, BITS4, "prefix length") + _V4
    elif mapped is not None and mapped.startswith(_MAPPED):
        plain, length = mapped[len(_MAPPED) :], _number(bits, BITS6, "prefix length")
    else:
        raise _DroppedError("no IPv4 prefix; dropped")
    if length < _V4:
        raise _DroppedError(f"shorter than /{_V4}: not only IPv4; dropped")
    return Row(int.from_bytes(_MAPPED + plain), length, _number(value, MAX_INT, "value"))


def _prefix(text: bytes, lacking: str) -> tuple[bytes, bytes]:
    address, slash, bits = text.partition(b"/")
    if not slash and any(_packed(family, address) for family in (socket.AF_INET, socket.AF_INET6)):
        raise _DroppedError(lacking)
    return address, bits


def _packed(family: socket.AddressFamily, address: bytes) -> bytes | None:
    """By inet_pton, as glibc: no leading zeros in IPv4, no zone."""
    try:
        return socket.inet_pton(family, address.decode("ascii"))
    except (OSError, UnicodeDecodeError, ValueError):
        return None


def _number(text: bytes, most: int, what: str) -> int:
    """As strtoul(3) reads the whole word, base 10: nothing is 0, and a negative number counts back from 2^64."""
    match = _NUMBER.fullmatch(text)
    if not match:
        raise _DroppedError(f"{what} is no number; dropped")
    digits = (match[2] or b"").lstrip(b"0")
    number = int(digits[:_MANY] or b"0")
    if number > MAX_ULONG:
        raise _DroppedError(f"{what} above {most}; dropped")
    if match[1] == b"-":
        number = -number % (MAX_ULONG + 1)
    if number > most:
        raise _DroppedError(f"{what} above {most}; dropped")
    return number


def _notes(prefix: bytes, value: bytes, more: bool) -> list[str]:
    """Of a line that glibc takes."""
    found = []
    if not value:
        found.append("no value: glibc up to 2.40 reads it as 0, later ones drop the line")
    if prefix.endswith(b"/"):
        found.append("no prefix length: read as /0")
    if more:
        found.append("what follows the value is not read")
    return found


def _whole(content: bytes) -> list[Odd]:
    found = []
    if len(content) >= LARGE:
        found.append(Odd(0, "", f"{len(content) / LARGE:.1f} MB: every process that resolves a name reads all of it"))
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found.append(Odd(0, "", f"not UTF-8 (first in line {line}): read as bytes, as glibc does"))
    return found


def _shown(words: list[bytes]) -> str:
    text = b" ".join(words).decode("utf-8", "backslashreplace")
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."
