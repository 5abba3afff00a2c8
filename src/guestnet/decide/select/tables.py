"""Policy tables: what label, precedence or scope an address has. Rows are looked up, never changed.

IPv4 addresses stand in them as ::ffff:a.b.c.d (RFC 3484 section 2.1, RFC 6724 section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

BITS6, BITS4 = 128, 32
LINK_LOCAL, SITE_LOCAL, GLOBAL = 0x2, 0x5, 0xE  # scopes, as in multicast addresses: RFC 4291 section 2.7
_MAPPED = 0xFFFF << BITS4


@dataclass(frozen=True)
class Row:
    """`prefix` may have bits set behind its length: they are not looked at."""

    prefix: int
    bits: int
    value: int

    def holds(self, number: int) -> bool:
        return (self.prefix ^ number) >> (BITS6 - self.bits) == 0

    def __str__(self) -> str:
        return f"{IPv6Network((self.prefix, self.bits), strict=False)} {self.value}"


@dataclass(frozen=True)
class Table:
    """Longest prefix first, as `table` makes it; the last row holds everything."""

    rows: tuple[Row, ...]

    def of(self, address: Address) -> int:
        number = as_ip6(address)
        return next(row.value for row in self.rows if row.holds(number))


@dataclass(frozen=True)
class Policy:
    """`scopes` is of IPv4 addresses only; those of IPv6 are fixed."""

    labels: Table
    precedences: Table
    scopes: Table

    def scope(self, address: Address) -> int:
        if isinstance(address, IPv4Address):
            return self.scopes.of(address)
        return scope6(address)


def as_ip6(address: Address) -> int:
    """The number of an address as it stands in a table."""
    return int(address) | (_MAPPED if isinstance(address, IPv4Address) else 0)


def scope6(address: IPv6Address) -> int:
    """RFC 4291 section 2.5.3 makes ::1 link-local."""
    if address.is_multicast:
        return int(address) >> 112 & 0xF
    if address.is_link_local or address.is_loopback:
        return LINK_LOCAL
    return SITE_LOCAL if address.is_site_local else GLOBAL


def common(a: Address, b: Address) -> int:
    """How many leading bits two addresses of one family share."""
    return a.max_prefixlen - (int(a) ^ int(b)).bit_length()


def table(rows: Iterable[Row]) -> Table:
    """For equal prefixes the first line counts: glibc sorts with a stable sort, RFC 6724 has no such lines."""
    return Table(tuple(sorted(rows, key=lambda row: -row.bits)))


def from_lines(*lines: str) -> Table:
    """`::1/128 0`, one a row."""
    return table(_row(line) for line in lines)


def _row(line: str) -> Row:
    prefix, _, rest = line.partition("/")
    bits, value = rest.split()
    return Row(int(IPv6Address(prefix)), int(bits), int(value))


# RFC 3484 section 3.2; private IPv4 addresses are site-local there, and global from RFC 6724 (section 3.2) on.
SCOPES_3484 = from_lines(
    "::ffff:169.254.0.0/112 2",
    "::ffff:127.0.0.0/104 2",
    "::ffff:10.0.0.0/104 5",
    "::ffff:172.16.0.0/108 5",
    "::ffff:192.168.0.0/112 5",
    "::ffff:0:0/96 14",
)
SCOPES = from_lines("::ffff:169.254.0.0/112 2", "::ffff:127.0.0.0/104 2", "::ffff:0:0/96 14")

# glibc 2.36, and every one before: RFC 3484's, with rows of its own for site-local, ULA and Teredo.
LABEL_LINES = (
    "::1/128 0",
    "::/0 1",
    "2002::/16 2",
    "::/96 3",
    "::ffff:0:0/96 4",
    "fec0::/10 5",
    "fc00::/7 6",
    "2001::/32 7",
)
PRECEDENCE_LINES = ("::1/128 50", "::/0 40", "2002::/16 30", "::/96 20", "::ffff:0:0/96 10")
GLIBC = Policy(from_lines(*LABEL_LINES), from_lines(*PRECEDENCE_LINES), SCOPES)

RFC3484 = Policy(
    from_lines("::1/128 0", "::/0 1", "2002::/16 2", "::/96 3", "::ffff:0:0/96 4"),
    from_lines(*PRECEDENCE_LINES),
    SCOPES_3484,
)

_LABELS_6724 = (
    "::1/128 0",
    "::/0 1",
    "::ffff:0:0/96 4",
    "2002::/16 2",
    "2001::/32 5",
    "fc00::/7 13",
    "::/96 3",
    "fec0::/10 11",
    "3ffe::/16 12",
)
RFC6724 = Policy(
    from_lines(*_LABELS_6724),
    from_lines(
        "::1/128 50",
        "::/0 40",
        "::ffff:0:0/96 35",
        "2002::/16 30",
        "2001::/32 5",
        "fc00::/7 3",
        "::/96 1",
        "fec0::/10 1",
        "3ffe::/16 1",
    ),
    SCOPES,
)
# musl 1.2.3 leaves out the rows of prefixes that were given back, and knows no scope of IPv4 addresses.
MUSL = Policy(
    from_lines("::1/128 0", "::ffff:0:0/96 4", "2002::/16 2", "2001::/32 5", "fc00::/7 13", "::/0 1"),
    from_lines("::1/128 50", "::ffff:0:0/96 35", "2002::/16 30", "2001::/32 5", "fc00::/7 3", "::/0 40"),
    from_lines("::ffff:0:0/96 14"),
)


def update(known: Iterable[IPv6Network]) -> Policy:
    """draft-ietf-6man-rfc6724-update: RFC 6724 with IPv4 behind ULA, and rows for the site's own ULA prefixes."""
    own = tuple(dict.fromkeys(known))
    return Policy(
        from_lines(*_LABELS_6724, *(f"{prefix} 14" for prefix in own)),
        from_lines(
            "::1/128 50",
            "::/0 40",
            "fc00::/7 30",
            "::ffff:0:0/96 20",
            "2002::/16 5",
            "2001::/32 5",
            "::/96 1",
            "fec0::/10 1",
            "3ffe::/16 1",
            *(f"{prefix} 45" for prefix in own),
        ),
        SCOPES,
    )
