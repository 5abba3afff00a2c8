"""A provider that changes the prefix by router advertisements: guests that share it follow, at the unit's reload."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lab import Lab
from lab.fake import Static
from lab.inet import BRIDGE, DNSMASQ, PREFIX6
from lab.process import wait_for
from tests.live.conftest import apply

pytestmark = pytest.mark.lab

FILE = """
networks:
  hidden:
    {mode: nat, bridge: vhidden, stp: false, ipv4: 10.9.3.1/24, ipv6: {prefix: translate, address: "fd00:9:0:3::1/64"}}
guests:
  mail: {network: hidden, ipv4: 10.9.3.10, ipv6: "::1:10", forwards: [80]}
"""
LATER = "2001:db8:99::"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """The domain runs, for the hook; a fake guest with its address answers for it."""
    with Lab(uplink="ra") as lab:
        apply(lab.host, FILE)
        lab.host.libvirtd.restart()
        lab.host.define_guest("mail", "hidden", memory=16)
        lab.host.virsh("start", "mail", "--paused")
        plug = Static("10.9.3.10/24", "fd00:9:0:3::1:10/64", "10.9.3.1", "fd00:9:0:3::1")
        lab.host.fake_guest("mail", "vhidden", plug=plug, ports=(80,)).wait_addresses()
        yield lab


def outside(lab: Lab) -> str:
    return lab.host.run(["ip", "-6", "neigh", "show", "proxy"]).stdout


def test_the_prefix_that_was_advertised(lab: Lab) -> None:
    assert lab.host.sysctl("ipv6/conf/up0/accept_ra") == "2"
    got = lab.inet.probe("tcp", f"{PREFIX6}1:10", 80, source=f"{PREFIX6}9")
    assert got.text == f"mail tcp 80 from {PREFIX6}9"
    assert "Nothing to do" in apply(lab.host)


def test_another_and_the_first_one_fades(lab: Lab) -> None:
    host = lab.host
    lab.inet.shell(f"ip addr add {LATER}9/64 dev {BRIDGE} nodad")
    lab.inet.kill(int(lab.inet.read("/run/lab/dnsmasq.pid")))
    old = f"--dhcp-range={PREFIX6},ra-only,64"
    words = [word for word in DNSMASQ if not word.startswith(old)]
    lab.inet.run([*words, f"{old},deprecated", f"--dhcp-range={LATER},ra-only,64,1h"])
    shown = ["ip", "-6", "addr", "show", "dev", "up0"]
    wait_for(
        "the other prefix",
        lambda: re.search(r"db8:99:.*\n.*\n.*db8:1:.*deprecated", host.run(shown).stdout),
        timeout=20,
    )
    said = host.guestnet("status").stdout
    assert f"NDP proxy {LATER}1:10 on up0" in said
    assert f"fd00:9:0:3::/64 as {PREFIX6}/64 for ::1:10 -> fd00:9:0:3::/64 as {LATER}/64 for ::1:10" in said
    host.run(["/etc/libvirt/hooks/qemu.d/50-guestnet", "-", "rules"])
    assert f"{LATER}1:10" in outside(lab)
    assert f"{PREFIX6}1:10" not in outside(lab)
    got = lab.inet.probe("tcp", f"{LATER}1:10", 80, source=f"{LATER}9")
    assert got.text == f"mail tcp 80 from {LATER}9"
    assert "up0 has the prefix 2001:db8:99::/64 now" in host.read("/var/log/guestnet/hook.log")
    apply(host)
    assert "Nothing to do" in apply(host)
