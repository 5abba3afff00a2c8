"""What somebody else changes between the plan and its step, of each kind that people edit: it is noticed, left as they
made it, and the rest of the apply is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lab import Lab
from lab.host import GUESTNET, Host
from tests.live.conftest import FILE, apply
from tests.live.snapshot import snapshot

pytestmark = pytest.mark.lab

OLD = """
networks:
  lab: {mode: nat, bridge: virbr84, ipv4: 192.168.84.1/24, ipv6: none}
  spare: {mode: bridge, bridge: br1, interface: eth1}
"""
# Something of every kind: the ULA, forwarding of IPv6, the bridge's MTU.
NEW = OLD.replace("ipv6: none", "ipv6: auto").replace("interface: eth1", "interface: eth1, mtu: 1400")
HOOK = "/etc/libvirt/hooks/qemu.d/50-guestnet"
# Runs guestnet; right before the step of that kind and name, somebody does that.
SCRIPT = """
import subprocess, sys
kind, name, done = sys.argv[1:]
sys.argv = ["guestnet", "apply", "--yes"]
import guestnet.act.apply as act
really = act.meanwhile.check
def check(libvirt, change):
    if change.key == (kind, name):
        subprocess.run(["sh", "-ec", done], check=True)
    really(libvirt, change)
act.meanwhile.check = check
from guestnet.faces.cli import main
main()
"""


class Theirs(NamedTuple):
    """What somebody does, what shows that it is still there, and what takes it back."""

    kind: str
    name: str
    done: str
    there: str
    back: str


def text(kind: str, path: str) -> Theirs:
    return Theirs(kind, path, f"echo '# theirs' >>{path}", f"grep -x '# theirs' {path}", f"sed -i '$d' {path}")


FORWARDING = "net/ipv6/conf/all/forwarding"
ALL = [
    text("memory", "/var/lib/guestnet/memory.json"),
    text("memory", "/var/lib/guestnet/applied.yaml"),
    text("sysctl.d", "/etc/sysctl.d/90-guestnet.conf"),
    text("hook", HOOK),
    Theirs(
        "setting",
        FORWARDING,
        f"echo 2 >/proc/sys/{FORWARDING}",
        f"grep -x 2 /proc/sys/{FORWARDING}",
        f"echo 0 >/proc/sys/{FORWARDING}",
    ),
    Theirs(
        "bridge", "br1", "ip link set br1 mtu 1300", "ip link show br1 | grep 'mtu 1300'", "ip link set br1 mtu 1500"
    ),
    Theirs(
        "network",
        "lab",
        "virsh net-autostart lab --disable",
        "virsh net-info lab | grep 'Autostart: *no'",
        "virsh net-autostart lab",
    ),
]


@pytest.fixture(scope="module")
def one() -> Iterator[Lab]:
    with Lab() as lab:
        lab.host.guestnet("plan", check=False)
        lab.inet.plug(lab.host, "eth1", "p1")
        yield lab


@pytest.fixture
def host(one: Lab) -> Host:
    """As the old file says, but that its hook has to be mended, and the new one to be applied."""
    apply(one.host, OLD)
    one.host.shell(f"echo '# an old one' >>{HOOK}")
    one.host.write(FILE, NEW)
    return one.host


@pytest.mark.parametrize("theirs", ALL, ids=lambda theirs: f"{theirs.kind} {theirs.name.rpartition('/')[2]}")
def test_it_is_noticed_and_left(host: Host, theirs: Theirs) -> None:
    before = snapshot(host)
    python = GUESTNET.parent / "python"
    done = host.run([python, "-c", SCRIPT, theirs.kind, theirs.name, theirs.done], check=False)
    assert done.returncode == 1, done
    assert f"{theirs.kind} {theirs.name} was changed meanwhile by somebody else" in done.stderr
    assert "The host is as it was before." in done.stderr
    host.shell(theirs.there)
    host.shell(theirs.back)
    assert snapshot(host) == before


def test_unless_somebody_does_so_all_of_it_is_done(host: Host) -> None:
    """Else the tests above would show nothing."""
    plan = host.guestnet("plan", "--format", "json").stdout
    for theirs in ALL:
        assert f'"kind": "{theirs.kind}"' in plan
        assert f'"name": "{theirs.name}"' in plan
    apply(host)
