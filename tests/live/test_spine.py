"""A real guest behind the seed example: packets both ways, and what becomes of the forwards when things happen."""

from __future__ import annotations

import json
import signal
import time

import pytest

from lab.process import wait_for
from tests.live.conftest import ADMIT, FILE, REACHED, REFUSED, SEED, Spine, apply, elements

pytestmark = pytest.mark.lab


def test_the_guest_has_its_reserved_addresses(spine: Spine) -> None:
    shown = spine.host.guestnet("show").stdout
    assert str(spine.ipv4) == "192.168.84.10"
    assert str(spine.ipv6).endswith("::10")
    assert str(spine.ipv6) in shown or str(spine.ipv6).removesuffix("10") in shown


def test_reached_from_the_internet_over_both_families(spine: Spine) -> None:
    assert spine.answers() == REACHED


def test_a_port_of_the_seed(spine: Spine) -> None:
    got = [spine.lab.inet.probe("tcp", address, 4023).text for address in ("203.0.113.2", "2001:db8:1::2")]
    assert [text.split(" from ")[0] for text in got] == ["web1 tcp 22"] * 2


def test_a_forward_on_one_address_is_on_no_other(spine: Spine) -> None:
    assert spine.lab.inet.probe("tcp", "203.0.113.2", 4081).text.startswith("web1 tcp 8080")
    assert spine.lab.inet.probe("tcp", "2001:db8:1::2", 4081).kind == "refused"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("router", "host"), [("203.0.113.1", "203.0.113.2"), ("2001:db8:1::1", "2001:db8:1::2")], ids=["SNAT", "NAT66"]
)
def test_the_guest_reaches_the_internet_as_the_host(spine: Spine, protocol: str, router: str, host: str) -> None:
    got = spine.guest.probe(protocol, router, 7)
    assert got.text == f"inet {protocol} 7 from {host}"


def test_the_guest_resolves_names_through_the_bridge(spine: Spine) -> None:
    got = spine.guest.run(["getent", "ahosts", "echo.example"]).stdout
    assert "203.0.113.1" in got
    assert "2001:db8:1::1" in got


def test_not_reached_but_through_its_forwards(spine: Spine) -> None:
    """The internet has a route to the guest here, and still gets in only through a forward."""
    spine.lab.inet.run(["ip", "route", "add", "192.168.84.0/24", "via", "203.0.113.2"])
    spine.lab.inet.run(["ip", "-6", "route", "add", f"{spine.ipv6}/128", "via", "2001:db8:1::2"])
    for address in (spine.ipv4, spine.ipv6):
        assert spine.lab.inet.probe("tcp", address, 80).kind == "refused"
    assert spine.host.probe("tcp", spine.ipv4, 80).text.startswith("web1 tcp 80")


def test_a_second_apply_changes_nothing(spine: Spine) -> None:
    assert "Nothing to do" in apply(spine.host)
    assert spine.host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 0


def test_status_says_what_is(spine: Spine) -> None:
    said = spine.host.guestnet("status").stdout
    rows = [" ".join(line.split()) for line in said.splitlines()]
    assert rows[0].startswith("networks lab nat virbr84 running 192.168.84.1/24 fd")
    assert f"guests web1 running lab {spine.ipv4} {spine.ipv6} prefers IPv4" in rows
    assert any(row.startswith("forwards 4023/tcp -> web1:22 active v4 v6 ") for row in rows)
    assert "drift none: the host is as the file says" in rows
    spine.host.run(["nft", "delete", "table", "inet", "guestnet"])
    said = spine.host.guestnet("status").stdout
    assert "no isolation and no forwards: the firewall table inet guestnet is missing" in said
    assert said.count("missing") == 1 + 3, "the table, and each forward"
    apply(spine.host)
    data = json.loads(spine.host.guestnet("status", "--format", "json").stdout)
    assert data["drift"] == []
    assert data["guests"] == [["web1", "running", "lab", str(spine.ipv4), str(spine.ipv6), "prefers IPv4"]]


def test_without_the_admit_rules_libvirt_rejects(spine: Spine) -> None:
    """Shows that the other tests can fail: in IPv4 libvirt's own chain rejects what our table has translated."""
    for program in ("iptables", "ip6tables"):
        spine.host.run([program, "-D", "FORWARD", *ADMIT])
    assert spine.answers() == REFUSED
    plan = spine.host.guestnet("plan", "--detailed-exitcode", check=False)
    assert plan.returncode == 2
    assert "admit rule in iptables FORWARD" in plan.stdout
    apply(spine.host)
    assert spine.answers() == REACHED


def test_an_admit_rule_that_is_not_on_top_is_drift(spine: Spine) -> None:
    for program in ("iptables", "ip6tables"):
        spine.host.run([program, "-I", "FORWARD", "1", "-p", "tcp", "-j", "REJECT"])
    assert spine.answers()[:2] == REFUSED[:2]
    assert "admit rule in iptables FORWARD" in apply(spine.host)
    assert spine.answers() == REACHED
    for program in ("iptables", "ip6tables"):
        spine.host.run([program, "-D", "FORWARD", "-p", "tcp", "-j", "REJECT"])


def test_a_guest_that_is_shut_off_is_refused_at_once(spine: Spine) -> None:
    spine.guest.destroy()
    began = time.monotonic()
    assert spine.answers() == REFUSED
    assert time.monotonic() - began < 2, "refused, not timed out"
    assert "192.168.84.10" not in elements(spine.host)
    assert "Nothing to do" in apply(spine.host), "a guest that is off is no drift"
    spine.guest.start()
    spine.guest.wait_addresses()
    assert spine.answers() == REACHED


def test_kill_9_of_qemu(spine: Spine) -> None:
    spine.guest.kill9()
    wait_for("its forwards to be gone", lambda: "192.168.84.10" not in elements(spine.host), timeout=5)
    assert spine.answers() == REFUSED
    wait_for("libvirt to see it off", lambda: not spine.guest.running, timeout=10)
    spine.guest.start()
    spine.guest.wait_addresses()
    assert spine.answers() == REACHED


def test_a_restart_of_libvirtd(spine: Spine) -> None:
    spine.host.libvirtd.restart()
    assert spine.answers() == REACHED


def test_kill_9_of_qemu_while_libvirtd_is_down(spine: Spine) -> None:
    spine.host.libvirtd.stop()
    spine.guest.kill9()
    spine.host.libvirtd.start()
    wait_for("its forwards to be gone", lambda: "192.168.84.10" not in elements(spine.host), timeout=5)
    assert spine.answers() == REFUSED
    spine.guest.start()
    spine.guest.wait_addresses()
    assert spine.answers() == REACHED


def test_flushed_rules_come_back_with_libvirtd(spine: Spine) -> None:
    spine.host.run(["nft", "flush", "ruleset"])
    assert spine.answers() == REFUSED
    spine.host.libvirtd.restart()
    wait_for("the table to be back", lambda: spine.answers() == REACHED, timeout=10)
    assert "Nothing to do" in apply(spine.host)


def test_net_destroy_and_net_start_by_hand(spine: Spine) -> None:
    spine.host.virsh("net-destroy", "lab")
    spine.host.run(["nft", "delete", "table", "inet", "guestnet"])
    spine.host.run(["iptables", "-D", "FORWARD", *ADMIT])
    assert spine.host.virsh("net-start", "lab").returncode == 0
    # The bridge runs STP, and a port that was put back would be deaf for 4 s: the hook sees to that.
    wait_for("the guest to be reached again", lambda: spine.answers() == REACHED, timeout=3)
    assert "libvirt's record of vnet" in apply(spine.host)
    assert "Nothing to do" in apply(spine.host)


def test_a_change_of_the_network_restarts_it_and_keeps_the_guest(spine: Spine) -> None:
    changed = SEED.replace("domain: lab.internal", "domain: other.internal")
    spine.host.write(FILE, changed)
    plan = spine.host.guestnet("plan").stdout
    assert "restart: web1" in plan
    assert "disturbs web1" in plan
    apply(spine.host)
    wait_for("the guest to be reached again", lambda: spine.answers() == REACHED, timeout=15)
    assert "other.internal" in spine.host.virsh("net-dumpxml", "lab").stdout
    apply(spine.host, SEED)
    wait_for("the guest to be reached again", lambda: spine.answers() == REACHED, timeout=15)


def test_a_new_address_holds_from_the_next_start(spine: Spine) -> None:
    """Until then the forwards follow the old one, and the plan says so."""
    out = apply(spine.host, SEED.replace("192.168.84.10", "192.168.84.77"))
    assert "moves from 192.168.84.10 to 192.168.84.77 at its next lease" in " ".join(out.split())
    assert spine.answers() == REACHED
    assert "Nothing to do" in apply(spine.host)
    spine.guest.destroy()
    spine.guest.start()
    assert str(spine.guest.wait_addresses()[0]) == "192.168.84.77"
    assert spine.answers() == REACHED
    apply(spine.host, SEED)
    assert spine.answers() == REACHED
    spine.guest.destroy()
    spine.guest.start()
    assert str(spine.guest.wait_addresses()[0]) == "192.168.84.10"


def test_a_port_that_the_host_serves_is_named(spine: Spine) -> None:
    service = spine.host.echo(4023, name="own")
    try:
        assert "port 4023/tcp is served by a process of the host" in " ".join(
            spine.host.guestnet("plan").stdout.split()
        )
    finally:
        spine.host.kill(service)
    assert "is served by" not in spine.host.guestnet("plan").stdout


def test_rules_flushed_of_libvirt_too_are_named(spine: Spine) -> None:
    spine.host.run(["nft", "flush", "ruleset"])
    assert "libvirt's own firewall rules are gone" in apply(spine.host)
    # libvirt's jumps are now above our admit rule; the hook, at `reconnect`, puts it on top again.
    spine.host.libvirtd.restart()
    wait_for("the guest to be reached again", lambda: spine.answers() == REACHED, timeout=10)
    assert "are gone" not in apply(spine.host)
    assert spine.guest.probe("tcp", "203.0.113.1", 7).kind == "answered"


def test_guests_of_others_that_come_and_go_disturb_nothing(spine: Spine) -> None:
    spine.host.write(
        "/run/other.xml",
        "<domain type='qemu'><name>other</name><memory>65536</memory><os><type>hvm</type></os></domain>",
    )
    loop = "while :; do virsh -q create /run/other.xml; virsh -q destroy other; done"
    other = spine.host.popen(["sh", "-c", loop])
    try:
        for _ in range(12):
            assert spine.host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 0
    finally:
        spine.host.send_signal(other, signal.SIGKILL)
        spine.host.virsh("destroy", "other", check=False)


def test_forwards_change_live(spine: Spine) -> None:
    began = spine.host.run(["cat", "/run/libvirt/network/lab.pid"]).stdout
    apply(spine.host, SEED.replace("4080:80/tcp+udp", "4090:80/tcp+udp"))
    assert spine.answers(4080) == REFUSED
    assert spine.answers(4090) == REACHED
    apply(spine.host, SEED)
    assert spine.answers(4090) == REFUSED
    assert spine.answers(4080) == REACHED
    assert spine.host.run(["cat", "/run/libvirt/network/lab.pid"]).stdout == began, "the network was not restarted"


def test_a_reboot(spine: Spine) -> None:
    """/run empty, no rule, no link, forwarding off; then libvirtd starts, and guestnet is not run."""
    spine.guest.autostart()
    spine.host.reboot()
    spine.guest.wait_addresses()
    assert spine.answers() == REACHED
    assert spine.guest.probe("tcp", "2001:db8:1::1", 7).text == "inet tcp 7 from 2001:db8:1::2"
    assert "Nothing to do" in apply(spine.host)
    spine.guest.autostart(False)
