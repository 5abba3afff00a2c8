"""nftables syntax, and nothing else: this module knows no network, guest or forward.

Syntax of nft 1.0.2 and newer (nft(8)); closing braces stand on lines of their own because 1.0.6 refuses two on one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

Elements = Mapping[str, tuple[str, ...]]  # map or set name -> elements, as nft writes them, sorted

_MOST = 65535  # elements: with more, what is new is not counted
FAMILY_TABLE = "inet guestnet"


def block(head: str, lines: Iterable[str]) -> list[str]:
    """`head {`, the lines indented by one tab, `}`."""
    return [f"{head} {{", *(f"\t{line}" if line else "" for line in lines), "}"]


def named_set(name: str, kind: str, elements: Iterable[str] = (), *, interval: bool = False) -> list[str]:
    lines = [f"type {kind}"]
    if interval:
        lines.append("flags interval")
    listed = ", ".join(elements)
    if listed:
        lines.append(f"elements = {{ {listed} }}")
    return block(f"set {name}", lines)


def named_map(name: str, kind: str, *, interval: bool = False, counter: bool = False) -> list[str]:
    flags = ["flags interval"] if interval else []
    return block(f"map {name}", [f"type {kind}", *flags, *(["counter"] if counter else [])])


def counting_set(name: str, kind: str) -> list[str]:
    """A set that rules add to; the kernel counts packets and bytes of each element."""
    return block(f"set {name}", [f"type {kind}", f"size {_MOST}", "flags dynamic", "counter"])


def chain(name: str, rules: Iterable[str], hook: str = "") -> list[str]:
    """`hook`, for a base chain: `nat hook prerouting priority dstnat`. Its policy is accept."""
    return block(f"chain {name}", [*([f"type {hook}; policy accept;"] if hook else []), *rules])


def quoted(name: str) -> str:
    """An interface name as nft reads it. Names are checked before: no quote or control character can be in one."""
    return f'"{name}"'


def replace_table(lines: Iterable[str]) -> str:
    """A transaction that puts the table in place of whatever stood there: all or nothing."""
    body = block(f"table {FAMILY_TABLE}", lines)
    # `destroy table` needs nft 1.0.7 and kernel 6.3; declaring it first makes `delete` safe everywhere.
    return "\n".join([f"table {FAMILY_TABLE}", f"delete table {FAMILY_TABLE}", *body]) + "\n"


def add_elements(elements: Elements, verb: Literal["add", "delete"] = "add") -> str:
    return "".join(
        f"{verb} element {FAMILY_TABLE} {name} {{ {', '.join(items)} }}\n" for name, items in elements.items() if items
    )


def flush_maps(names: Iterable[str]) -> str:
    return "".join(f"flush map {FAMILY_TABLE} {name}\n" for name in names)
