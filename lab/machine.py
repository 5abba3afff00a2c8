"""The machine's own network, as it is now: links, addresses, routes, rules, sysctls. Reads only.

Tests and the demo compare it before and after: whatever happens in a lab, nothing of this may change.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

Snapshot = dict[str, str]  # what -> its state as text

_SYSCTLS = Path("/proc/sys/net")
# Counts down or up by itself, or is drawn anew at each read.
_RESTLESS = {"nf_conntrack_count", "stable_secret"}
_LIFETIMES = ("valid_life_time", "preferred_life_time", "expires")
_TABLES = (("-d", "link"), ("addr",), ("-4", "route", "show", "table", "all"), ("-6", "route", "show", "table", "all"))


def snapshot() -> Snapshot:
    """The state of the network namespace this runs in."""
    return {**dict(_sysctls()), **dict(_ip()), **_rules()}


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """One line for each thing that is not as before. A sysctl that is only new came with a kernel module, and changes
    nothing that was there; a link's own sysctls come and go with the link, which is compared itself."""
    found = []
    for what in sorted(before.keys() | after.keys()):
        old, new = before.get(what), after.get(what)
        if old != new and not (old is None and what.startswith("sysctl ")):
            found.append(f"{what}: was {old!r}, is {new!r}")
    return found


def _sysctls() -> Iterator[tuple[str, str]]:
    for path in sorted(_SYSCTLS.rglob("*")):
        if path.name in _RESTLESS or not path.is_file():
            continue
        try:
            yield f"sysctl {path.relative_to(_SYSCTLS)}", path.read_text().strip()
        except OSError:
            continue  # write-only, or of a protocol that refuses to be read


def _ip() -> Iterator[tuple[str, str]]:
    for command in _TABLES:
        entries = json.loads(_output("ip", "-j", *command) or "[]")
        for entry in entries:
            for address in (entry, *entry.get("addr_info", [])):
                for name in _LIFETIMES:
                    address.pop(name, None)
        yield f"ip {' '.join(command)}", json.dumps(entries, sort_keys=True)


def _rules() -> Snapshot:
    return {"nft ruleset": _output("nft", "-s", "list", "ruleset")} if os.geteuid() == 0 and shutil.which("nft") else {}


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout  # noqa: S603  fixed commands
