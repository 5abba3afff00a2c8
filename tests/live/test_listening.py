"""Who may connect (`from`), and NICs to listen on: with packets, in both families."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from lab.process import wait_for
from tests.live.conftest import MAC, apply, elements

pytestmark = pytest.mark.lab

TEXT = """
networks:
  lab: {mode: nat, bridge: virbr84, stp: false, ipv4: 192.168.84.1/24, ipv6: "fd00:84:0:1::1/64"}
guests:
  web1:
    network: lab
    mac: 52:54:00:12:34:56
    ipv4: 192.168.84.10
    ipv6: ::10
    forwards:
      - {ports: 5000, to: 80, protocol: tcp+udp, from: [203.0.113.8/30, 203.0.113.9, "2001:db8:1::8/126"]}
      - {ports: 5001, to: 80, protocol: tcp+udp, from: 203.0.113.9, listen: [203.0.113.2, up0]}
      - {ports: 5001, to: 22, protocol: tcp+udp}
      - {ports: 5002, to: 80, protocol: tcp+udp, listen: up0}
      - {ports: 5003, to: 80, from: [0.0.0.0/0, "2001:db8:1::9"]}
      - {ports: 5004, to: 80, listen: up0, from: ["203.0.113.9", "2001:db8:1::9"]}
      - {ports: 53, to: 80, protocol: udp, listen: virbr84}
"""
HOST = {4: "203.0.113.2", 6: "2001:db8:1::2"}
CLIENT = {4: "203.0.113.9", 6: "2001:db8:1::9"}
OTHER = {4: "203.0.113.10", 6: "2001:db8:1::10"}
EACH = [(protocol, family) for protocol in ("tcp", "udp") for family in (4, 6)]


@pytest.fixture(scope="module", params=[0, 1], ids=["plain", "br_netfilter"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with Lab(bridge_nf=request.param) as lab:
        apply(lab.host, TEXT)
        lab.host.libvirtd.restart()
        lab.host.define_guest("web1", "lab", "52:54:00:99:99:99").start()
        wait_for("the forwards", lambda: "5000" in elements(lab.host))
        # The domain runs for the hook; a fake guest with the MAC of the file answers in its place.
        lab.host.fake_guest("web1", "virbr84", mac=MAC).wait_addresses()
        assert "Nothing to do" in apply(lab.host)
        yield lab


def ask(lab: Lab, protocol: str, host: str, port: int, client: str) -> str:
    """web1's port that answered, or how the connection ended."""
    got = lab.inet.probe(protocol, host, port, source=client)
    return got.text.split()[2] if got.kind == "answered" else got.kind


@pytest.mark.parametrize(("protocol", "family"), EACH)
def test_only_those_in_from_connect(lab: Lab, protocol: str, family: int) -> None:
    assert ask(lab, protocol, HOST[family], 5000, CLIENT[family]) == "80"
    # .8/30 ends at .11 and holds the other client too; the first one outside is the router.
    assert ask(lab, protocol, HOST[family], 5000, OTHER[family]) == ("80" if family == 4 else "refused")
    router = {4: "203.0.113.1", 6: "2001:db8:1::1"}[family]
    assert ask(lab, protocol, HOST[family], 5000, router) == "refused"
    assert lab.host.probe(protocol, HOST[family], 5000).kind == "refused", "the host itself is not in from"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_who_is_not_in_from_gets_what_any_gets(lab: Lab, protocol: str) -> None:
    assert ask(lab, protocol, HOST[4], 5001, CLIENT[4]) == "80"
    assert ask(lab, protocol, HOST[4], 5001, OTHER[4]) == "22"
    assert ask(lab, protocol, HOST[6], 5001, CLIENT[6]) == "22", "no IPv6 network is in from"


def test_everybody_of_one_family_and_one_of_the_other(lab: Lab) -> None:
    assert ask(lab, "tcp", HOST[4], 5003, OTHER[4]) == "80"
    assert ask(lab, "tcp", HOST[6], 5003, CLIENT[6]) == "80"
    assert ask(lab, "tcp", HOST[6], 5003, OTHER[6]) == "refused"


@pytest.mark.parametrize(("protocol", "family"), EACH)
def test_a_nic_stands_for_the_addresses_it_has_now(lab: Lab, protocol: str, family: int) -> None:
    new, length = {4: ("203.0.113.77", 24), 6: ("2001:db8:1::77", 64)}[family]
    assert ask(lab, protocol, HOST[family], 5002, CLIENT[family]) == "80"
    lab.host.run(["ip", "addr", "add", f"{new}/{length}", "dev", "up0", *(["nodad"] if family == 6 else [])])
    assert ask(lab, protocol, new, 5002, CLIENT[family]) == "80"
    # The same address on another NIC: it comes in through up0, and is not up0's.
    lab.host.run(["ip", "addr", "del", f"{new}/{length}", "dev", "up0"])
    lab.host.run(["ip", "addr", "add", new, "dev", "lo"])
    try:
        lab.inet.run(["ip", "route", "replace", new, "via", HOST[family]])
        assert ask(lab, protocol, new, 5002, CLIENT[family]) == "refused"
        assert ask(lab, protocol, new, 5001, CLIENT[family]) == "22", "any is every address of the host"
    finally:
        lab.inet.run(["ip", "route", "del", new, "via", HOST[family]])
        lab.host.run(["ip", "addr", "del", new, "dev", "lo"])


@pytest.mark.parametrize("family", [4, 6])
def test_a_nic_and_from(lab: Lab, family: int) -> None:
    assert ask(lab, "tcp", HOST[family], 5004, CLIENT[family]) == "80"
    assert ask(lab, "tcp", HOST[family], 5004, OTHER[family]) == "refused"


def test_guests_keep_their_dns_when_a_forward_listens_on_their_bridge(lab: Lab) -> None:
    guest = lab.host.fake_guest("other", "virbr84")
    guest.wait_addresses()
    assert "203.0.113" in guest.run(["getent", "ahostsv4", "echo.example"]).stdout
    guest.stop()


def test_stopped_and_started_again(lab: Lab) -> None:
    """The hook takes restricted forwards out and puts them in; apply finds them as they should be."""
    before = elements(lab.host)
    lab.host.virsh("destroy", "web1")
    assert "500" not in elements(lab.host)
    assert "guest off" in lab.host.guestnet("status").stdout
    lab.host.virsh("start", "web1")
    assert elements(lab.host) == before
    shown = lab.host.guestnet("status").stdout
    assert "up0:5002/tcp+udp -> web1:80" in shown
    assert "5000/tcp+udp from 203.0.113.8/30, 2001:db8:1::8/126 -> web1:80" in shown
    assert "missing" not in shown
    assert "Nothing to do" in apply(lab.host)
