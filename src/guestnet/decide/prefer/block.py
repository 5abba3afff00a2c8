"""Our lines in a guest's /etc/gai.conf: put in and taken out, everything else in it kept to the byte.

They stand between two marks, in front of the rest. Any label line replaces glibc's whole label table (see
`select.gaiconf`), so the whole of it is written; unless the file has label lines of its own: then that is the table, it
is kept, and only the row of our prefix is added, with the label that global addresses have there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from guestnet.decide.select.case import Case, Host, Link, Own
from guestnet.decide.select.explain import explain
from guestnet.decide.select.gaiconf import parse
from guestnet.decide.select.tables import GLIBC, LABEL_LINES, Address, Table, as_ip6
from guestnet.words.problems import WrongError

BEGIN, END = b"# guestnet begin", b"# guestnet end"
_BLOCK = re.compile(
    rb"^# guestnet begin\b[^\n]*\n(?:(?!# guestnet)[^\n]*\n)*# guestnet end\b[^\n]*(?:\n|\Z)", re.MULTILINE
)
_MARK = re.compile(rb"^# guestnet (?:begin|end)\b", re.MULTILINE)
_ABOUT = b": IPv6 first, through this guest's network; guestnet prefer-ipv6 --undo takes these lines out\n"
# For documentation (RFC 5737, RFC 3849), and to a resolver as global as any
DUAL = (IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1"))
_OWN4 = Own(IPv4Address("192.168.0.2"), 24)


def without(content: bytes) -> bytes:
    """The file without our lines. Raises WrongError when a mark stands alone."""
    rest = _BLOCK.sub(b"", content)
    found = _MARK.search(rest)
    if found:
        line = rest.count(b"\n", 0, found.start()) + 1
        raise WrongError(f"line {line}, a mark of guestnet's, stands alone", "take out what guestnet wrote by hand")
    return rest


def merged(content: bytes, prefixes: Iterable[IPv6Network]) -> bytes:
    """The file with our lines, in place of those that it may have had. Raises WrongError when with them, too, IPv4
    would come first, because other lines say so."""
    prefixes = tuple(prefixes)
    rest = without(content)
    whole = block(prefixes, rest) + rest
    for prefix in prefixes:
        _not_said_otherwise(prefix, rest)
        _first(prefix, whole)
    return whole


def block(prefixes: Iterable[IPv6Network], rest: bytes = b"") -> bytes:
    """Our lines, for a file that has `rest` beside them."""
    labels = parse(rest).policy.labels
    table = LABEL_LINES if labels is GLIBC.labels else ()
    rows = [*table, *(f"{prefix} {labels.of(DUAL[1])}" for prefix in prefixes)]
    return BEGIN + _ABOUT + "".join(f"label {row}\n" for row in rows).encode() + END + b"\n"


def _not_said_otherwise(prefix: IPv6Network, rest: bytes) -> None:
    """Rows of its own for our prefix, or a part of it: one of them would silently lose."""
    table = parse(rest).policy.labels
    for row in table.rows:
        inside = row.bits >= prefix.prefixlen and IPv6Address(row.prefix) in prefix
        if inside and row.value != table.of(DUAL[1]):
            raise WrongError(f"its line `label {row}` says otherwise of {prefix}", "remove that line in it")


def _first(prefix: IPv6Network, content: bytes) -> None:
    own = Own(prefix[1], 64)
    host = Host((Link("eth0", (_OWN4, own)),), default4=True, default6=True)
    found = explain(Case(host, DUAL, content, dns=True))
    if found.rows[0].seen.address.version == own.address.version:
        return
    policy = parse(content).policy
    if found.verdicts[0, 1].rule == 5:  # noqa: PLR2004  rule 5: labels
        row = _row(policy.labels, own.address)
        raise WrongError(f"its line `label {row}` says otherwise of {prefix}", "remove that line in it")
    ranks = [policy.precedences.of(one) for one in DUAL]
    what = f"its precedence lines give IPv4 {ranks[0]} and IPv6 {ranks[1]}, which keeps IPv4 first"
    raise WrongError(what, "change them in it, if IPv6 is to be first")


def _row(table: Table, address: Address) -> str:
    return str(next(row for row in table.rows if row.holds(as_ip6(address))))
