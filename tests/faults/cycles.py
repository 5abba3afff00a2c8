"""A host that is changed from one file to another, over and over, with a fault in each change; and what must be true
afterwards: it is exactly what it was, or exactly what it was to be.

The change has a step of every kind: a network that comes, one that is restarted under a running guest, forwards,
reservations, a tracked connection that must end.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

from lab import Lab
from lab.host import GUESTNET
from tests.live.conftest import FILE, MAC, SEED
from tests.live.snapshot import snapshot

INJECT = Path(__file__).parent / "inject.py"
PYTHON = GUESTNET.parent / "python"
JOURNAL = "/var/lib/guestnet/journal"
EFFECTS = "/run/lab/effects"
NEW = """
networks:
  lab: {mode: nat, bridge: virbr84, mtu: 1400, ipv4: 192.168.84.1/24, ipv6: auto, nat: {ipv6: true}}
  cell: {mode: isolated, bridge: virbr85, ipv4: 192.168.85.1/24, ipv6: none}
guests:
  web1: {network: lab, mac: 52:54:00:12:34:56, ipv4: 192.168.84.10, forwards: ["4999:22"]}
  db: {network: cell, mac: 52:54:00:12:34:57}
"""
ADDRESS = "52:54:00:12:34:56,192.168.84.10,["
# What can go wrong with an effect of each kind.
FAULTS = {
    "program": ("refused", "time-out", "EPERM"),
    "file": ("EIO", "ENOSPC", "EPERM"),
    "sysctl": ("EPERM", "EIO"),
    "libvirt": ("disconnect",),
    "netlink": ("EPERM",),
}


@dataclass
class Cycles:
    """`old` and `new`: the host as each of the files makes it. `effects`: of the change, in their order."""

    lab: Lab
    old: str = ""
    new: str = ""
    effects: list[str] = field(default_factory=list)
    tried: dict[str, int] = field(default_factory=dict)

    def begin(self) -> None:
        host = self.lab.host
        host.guestnet("plan", check=False)
        host.write(FILE, SEED)
        host.guestnet("apply", "--yes")
        host.libvirtd.restart()  # it sees the hooks
        host.define_guest("web1", "lab", MAC)
        host.virsh("start", "--paused", "web1")
        host.guestnet("apply", "--yes")
        self.old = self.state()
        assert self.change("", 0).returncode == 0
        self.effects = host.read(EFFECTS).splitlines()
        self.new = self.state()
        assert self.new != self.old
        self.back()

    def state(self) -> str:
        host = self.lab.host
        assert host.read("/var/lib/libvirt/dnsmasq/guestnet-lab/web1").startswith(ADDRESS), "it keeps its addresses"
        taps = host.shell("for tap in /sys/class/net/vnet*; do readlink $tap/master; done").stdout
        return f"{snapshot(host)}\ntaps in: {taps}"

    def change(self, do: str, at: int, *, lasting: bool = False, verb: str = "apply") -> CompletedProcess[str]:
        """The change with a fault in it; or, as `verb`, the way back from it."""
        host = self.lab.host
        host.write(FILE, NEW)
        # A connection that the old forward let in.
        self.lab.inet.probe("udp", "203.0.113.2", 4080, timeout=0.05)
        order = json.dumps({"at": at, "do": do, "lasting": lasting})
        return host.run([PYTHON, INJECT, order, verb, "--yes"], check=False)

    def back(self) -> None:
        self.lab.host.guestnet("rollback", "--yes")
        self.same(self.old, "rollback")

    def same(self, wanted: str, what: str) -> None:
        found = self.state()
        if found != wanted:
            lines = difflib.unified_diff(wanted.splitlines(), found.splitlines(), "wanted", "found", n=0, lineterm="")
            raise AssertionError("\n".join([f"after {what}:", *lines]))

    # one fault each; all end with the host as the old file makes it

    def killed(self, at: int, *, then: str) -> bool:
        """False when there is no such effect any more. then: rollback or apply."""
        done = self.change("kill", at)
        if done.returncode == 0:
            self.back()
            return False
        assert done.returncode == -9, done
        what = f"kill before effect {at} ({self._name(at)}), then {then}"
        if then == "rollback" and not self.lab.host.exists(JOURNAL) and self.state() == self.old:
            then = "nothing: it had not begun"  # going back would lead to before the apply before
        if then == "apply":
            self.lab.host.guestnet("apply", "--yes")
            self.same(self.new, what)
        if not then.startswith("nothing"):
            self.lab.host.guestnet("rollback", "--yes")
        self.same(self.old, what)
        self._count(f"kill, then {then}")
        return True

    def failed(self, at: int, do: str, *, lasting: bool = False) -> None:
        """Without an error it has been overcome, and the change is there; else all is as it was, now or after a
        rollback when even the undoing failed."""
        host = self.lab.host
        done = self.change(do, at, lasting=lasting)
        what = f"{do}{' from' if lasting else ' at'} effect {at} ({self._name(at)})"
        assert done.returncode in (0, 1), f"{what}: {done}"
        assert "Traceback" not in done.stderr, what
        host.libvirtd.start()
        if done.returncode == 0:
            self.same(self.new, what)
        if done.returncode == 0 or host.exists(JOURNAL):
            host.guestnet("rollback", "--yes")
        self.same(self.old, what)
        self._count(f"{do}{', and all like it' if lasting else ''}")

    def way_back_killed(self, at: int, *, then: str) -> bool:
        """The rollback itself is killed; then: rollback, which ends in the old state, or apply, in the new."""
        host = self.lab.host
        host.write(FILE, NEW)
        host.guestnet("apply", "--yes")
        done = self.change("kill", at, verb="rollback")
        if done.returncode == 0:
            self.same(self.old, "rollback")
            return False
        assert done.returncode == -9, done
        what = f"kill before effect {at} of the rollback, then {then}"
        if then == "apply":
            host.guestnet("apply", "--yes")
            self.same(self.new, what)
        gone_back = host.guestnet("rollback", "--yes", check=False)
        assert gone_back.returncode == 0 or "was itself a rollback" in gone_back.stderr, gone_back
        self.same(self.old, what)
        self._count(f"rollback killed, then {then}")
        return True

    def faults(self) -> Iterator[tuple[int, str, bool]]:
        """Every effect with everything that can go wrong with it: (number, fault, lasting)."""
        for at, effect in enumerate(self.effects, 1):
            kind = effect.partition(" ")[0]
            yield from ((at, do, False) for do in FAULTS[kind])
            if kind == "file":
                yield at, "ENOSPC", True

    def _name(self, at: int) -> str:
        return self.effects[at - 1] if at <= len(self.effects) else "the end"

    def _count(self, what: str) -> None:
        self.tried[what] = self.tried.get(what, 0) + 1
