"""A host that an older guestnet was applied to: our hook does with what that prepared, and apply makes it new.

older/ has the table and a guest's file as commit b094232 wrote them for FILE: maps, sets and chains of other names, no
counters; there was no `admit` and no `let_in.py` yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from lab.fake import Static
from lab.process import wait_for
from tests.live.conftest import apply, elements

pytestmark = pytest.mark.lab

FILE = """
networks:
  lab: {mode: nat, bridge: vlab, stp: false, ipv4: 10.9.1.1/24, ipv6: "fd00:9:0:1::1/64"}
guests:
  web: {network: lab, ipv4: 10.9.1.10, ipv6: "::10", forwards: ["8080:80", "203.0.113.2:8081:80/udp"]}
"""
OLDER = Path(__file__).parent / "older"
COMPILED = "/var/lib/guestnet/compiled"
HOOK = "/etc/libvirt/hooks/qemu.d/50-guestnet"
LOG = "/var/log/guestnet/hook.log"
UNKNOWN = "range4 tcp . 9000-9999 : 10.9.1.10"  # no map of that name, now or then


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        apply(lab.host, FILE)
        lab.host.libvirtd.restart()
        lab.host.define_guest("web", "lab", memory=16)
        lab.host.virsh("start", "web", "--paused")
        wait_for("the forwards", lambda: "8081" in elements(lab.host))
        plug = Static("10.9.1.10/24", "fd00:9:0:1::10/64", "10.9.1.1", "fd00:9:0:1::1")
        lab.host.fake_guest("web", "vlab", plug=plug, ports=(80,)).wait_addresses()
        yield lab


@pytest.fixture
def aged(lab: Lab) -> Lab:
    lab.host.write(f"{COMPILED}/table.nft", (OLDER / "table.nft").read_text())
    lab.host.write(f"{COMPILED}/guests/web", (OLDER / "web").read_text().replace("end\n", f"{UNKNOWN}\nend\n"))
    lab.host.shell(f"rm -f {COMPILED}/admit {COMPILED}/let_in.py {LOG}; nft -f {COMPILED}/table.nft")
    return lab


def reached(lab: Lab) -> list[str]:
    asked = [("tcp", "203.0.113.2", 8080), ("tcp", "2001:db8:1::2", 8080), ("udp", "203.0.113.2", 8081)]
    return [lab.inet.probe(*one).peer or "" for one in asked]


@pytest.mark.parametrize("operation", ["start", "started", "reconnect", "rules"])
def test_the_hook_over_what_an_older_version_prepared(aged: Lab, operation: str) -> None:
    host = aged.host
    assert reached(aged) == ["", "", ""], "loaded without the forwards"
    if operation == "start":
        host.run(["nft", "delete", "table", "inet", "guestnet"])
    words = ["-", "rules"] if operation == "rules" else ["web", operation, "begin", "-"]
    assert host.run([HOOK, *words], input="<domain/>").stdout == ""
    assert reached(aged) == ["web"] * 3
    told = [line for line in host.read(LOG).splitlines() if "range4" in line]
    assert len(told) == 1
    assert told[0].endswith("web: range4: prepared by another version, passed over; run guestnet apply")


def test_the_rest_of_a_guests_life(aged: Lab) -> None:
    """By libvirt itself: a hook that fails would keep the guest from its start."""
    host = aged.host
    host.virsh("destroy", "web")
    assert "8080" not in host.run(["nft", "list", "table", "inet", "guestnet"]).stdout
    for operation in ("prepare", "stopped", "release"):
        assert host.run([HOOK, "web", operation, "begin", "-"], input="<domain/>").stdout == ""
    host.virsh("start", "web", "--paused")
    wait_for("the forwards", lambda: reached(aged) == ["web"] * 3)


def test_apply_makes_it_new(aged: Lab) -> None:
    host = aged.host
    host.run([HOOK, "web", "started", "begin", "-"], input="")
    assert "8080" in host.run(["nft", "list", "map", "inet", "guestnet", "any4"]).stdout
    said = apply(host)
    assert "firewall table inet guestnet changed" in said
    assert reached(aged) == ["web"] * 3
    assert "Nothing to do" in apply(host)
    assert "range4" not in host.read(f"{COMPILED}/guests/web")
    assert host.exists(f"{COMPILED}/admit")
    assert host.exists(f"{COMPILED}/let_in.py")
    host.run(["rm", LOG])
    host.run([HOOK, "web", "reconnect", "begin", "-"], input="")
    assert not host.exists(LOG)
