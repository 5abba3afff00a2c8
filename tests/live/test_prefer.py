"""`guestnet prefer-ipv6` in a real guest with glibc: IPv4 first before, IPv6 first after, as it was when undone."""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256

import pytest

from lab.guest import RealGuest
from lab.inet import ROUTER4, ROUTER6
from tests.live.conftest import FILE, SEED, Spine, apply

pytestmark = pytest.mark.lab

NAME = "echo.example"
GAI = "/etc/gai.conf"


def asked(guest: RealGuest) -> list[str]:
    """What a fresh process in the guest gets for the name."""
    lines = guest.run(["getent", "ahosts", NAME]).stdout.splitlines()
    return list(dict.fromkeys(line.split()[0] for line in lines))


def test_ipv6_first_is_used_and_undone(spine: Spine) -> None:
    guest, host = spine.guest, spine.host
    assert asked(guest) == [ROUTER4, ROUTER6]
    done = host.guestnet("prefer-ipv6", "web1", "--name", NAME)
    print(done.stdout, done.stderr)
    before, after = done.stdout.split("Its /etc/gai.conf is written")
    assert f" 1  {ROUTER4} " in before
    assert f" 1  {ROUTER6} " in after
    assert "Predicted" not in done.stdout
    first, *_ = asked(guest)
    assert first == ROUTER6
    assert guest.probe("tcp", first, 7).text == "inet tcp 7 from 2001:db8:1::2"
    assert "prefers IPv6" in host.guestnet("status").stdout
    assert "prefers IPv6 where a host has both: web1" in host.guestnet("reach").stdout
    # The file says nothing of it, and apply leaves alone what was done by hand.
    assert "Nothing to do" in host.guestnet("plan").stdout
    assert "nothing was changed" in host.guestnet("prefer-ipv6", "web1", "--name", NAME).stdout
    assert "is as it was before" in host.guestnet("prefer-ipv6", "web1", "--undo").stdout
    assert asked(guest) == [ROUTER4, ROUTER6]
    assert guest.run("ls -A /etc | grep gai", check=False).stdout == ""
    assert "prefers IPv4" in host.guestnet("status").stdout
    assert "prefer-ipv6" not in host.run(["ls", "/var/lib/guestnet"]).stdout


OWN = b"# meine Datei, \xe4lter als UTF-8\nscopev4 ::ffff:0:0/96 14\nreload yes\nlast line without an end"


def put(guest: RealGuest, content: bytes, mode: str = "640") -> None:
    """The guest's own gai.conf."""
    guest.run(["sh", "-c", f"base64 -d >{GAI} && chmod {mode} {GAI}"], input=b64encode(content).decode())


def held(guest: RealGuest) -> bytes | None:
    out = guest.run(f"[ ! -e {GAI} ] || base64 {GAI}").stdout
    return b64decode(out) if out else None


@pytest.fixture
def own(spine: Spine) -> Iterator[RealGuest]:
    """web1 with a gai.conf of its own, which is the same again at the end, and nothing beside it."""
    put(spine.guest, OWN)
    yield spine.guest
    spine.host.guestnet("prefer-ipv6", "web1", "--undo")
    assert held(spine.guest) == OWN
    assert spine.guest.run(["stat", "-c", "%a", GAI]).stdout.strip() == "640"
    assert spine.guest.run("ls -A /etc | grep gai").stdout.split() == ["gai.conf"]
    spine.guest.run(["rm", GAI])


def test_what_is_not_ours_stays(spine: Spine, own: RealGuest) -> None:
    done = spine.host.guestnet("prefer-ipv6", "web1", "--name", NAME)
    assert "gai.conf: not UTF-8 (first in line 1)" in done.stderr
    content = held(own)
    assert content is not None
    assert content.endswith(OWN)
    assert asked(own)[0] == ROUTER6


def test_changed_by_somebody_since(spine: Spine, own: RealGuest) -> None:
    spine.host.guestnet("prefer-ipv6", "web1", "--name", NAME)
    own.run(f"echo >>{GAI}; echo '# more' >>{GAI}")
    assert "is as it was before" in spine.host.guestnet("prefer-ipv6", "web1", "--undo").stdout
    assert held(own) == OWN + b"\n# more\n"
    put(own, OWN)


def test_a_megabyte(spine: Spine, own: RealGuest) -> None:
    large = b"# filling\n" * (1 << 17)
    put(own, b"")
    own.run(f"yes '# filling' | head -n {1 << 17} >{GAI}")
    done = spine.host.guestnet("prefer-ipv6", "web1", "--name", NAME)
    assert "gai.conf: 1.2 MB" in done.stderr
    assert asked(own)[0] == ROUTER6
    spine.host.guestnet("prefer-ipv6", "web1", "--undo")
    assert own.run(["sha256sum", GAI]).stdout.split()[0] == sha256(large).hexdigest()
    put(own, OWN)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            b"label fc00::/7 6\nlabel ::ffff:0:0/96 4\nlabel fddc:82d7:369f::/48 6\n",
            "says otherwise of fddc:82d7:369f::/48",
        ),
        (b"precedence ::ffff:0:0/96 100\n", "its precedence lines give IPv4 100 and IPv6 40"),
    ],
)
def test_lines_that_say_otherwise_are_not_overruled(spine: Spine, own: RealGuest, lines: bytes, says: str) -> None:
    put(own, lines)
    done = spine.host.guestnet("prefer-ipv6", "web1", "--name", NAME, check=False)
    assert done.returncode == 1
    assert says in done.stderr
    assert held(own) == lines
    put(own, OWN)


def test_label_lines_of_its_own_are_the_table(spine: Spine, own: RealGuest) -> None:
    """The seed's line alone: nothing is added but our row, and it is IPv6 first as it was."""
    put(own, b"label fc00::/7 6\nlabel ::ffff:0:0/96 4\n")
    assert asked(own)[0] == ROUTER4
    spine.host.guestnet("prefer-ipv6", "web1", "--name", NAME)
    content = held(own) or b""
    assert content.count(b"label ") == 3
    assert asked(own)[0] == ROUTER6
    spine.host.guestnet("prefer-ipv6", "web1", "--undo")
    put(own, OWN)


def test_the_script_for_a_guest_without_agent(spine: Spine, own: RealGuest) -> None:
    script = spine.host.guestnet("prefer-ipv6", "web1", "--print", "shell", "--name", NAME).stdout
    for _ in range(2):
        assert own.run(["sh"], input=script).stdout.startswith(ROUTER6)
        assert (held(own) or b"").endswith(OWN)


def test_by_the_file(spine: Spine, own: RealGuest) -> None:
    """By apply, live; taken back when NAT66 leaves the network, and when the key leaves the file."""
    host = spine.host
    wish = SEED.replace("network: lab\n", "network: lab\n    prefer_ipv6: true\n")
    host.write(FILE, wish)
    plan = host.guestnet("plan").stdout
    assert "+ IPv6 first: label fddc:82d7:369f::/48 1 in its /etc/gai.conf" in plan
    assert "gai.conf of web1 written" in apply(host)
    assert asked(own)[0] == ROUTER6
    assert "Nothing to do" in host.guestnet("plan").stdout
    host.write(FILE, wish.replace("nat: {ipv6: true", "nat: {ipv6: false"))
    plan = host.guestnet("plan").stdout
    assert "- IPv6 first: its /etc/gai.conf as before: its IPv6 does not get out: no NAT, and" in plan
    apply(host)
    assert held(own) == OWN
    assert "note: guest web1: prefer_ipv6 changes nothing in it: its IPv6" in host.guestnet("plan").stdout
    apply(host, wish)
    assert asked(own)[0] == ROUTER6
    apply(host, SEED)
    assert held(own) == OWN
    assert "Nothing to do" in host.guestnet("plan").stdout


def test_ipv6_that_leads_nowhere(spine: Spine, own: RealGuest) -> None:
    """Nothing is written when no answer comes back to the host, or it has no route."""
    for where, down, up, says in (
        (
            spine.lab.inet,
            "route add blackhole 2001:db8:1::2/128",
            "route del blackhole 2001:db8:1::2/128",
            f"would wait in vain: {ROUTER6} does not answer over IPv6",
        ),
        (
            spine.host,
            f"route del default via {ROUTER6}",
            f"route add default via {ROUTER6} dev up0",
            "its IPv6 does not get out: the host has no IPv6 default route",
        ),
    ):
        where.run(["ip", "-6", *down.split()])
        done = spine.host.guestnet("prefer-ipv6", "web1", "--name", NAME, check=False)
        where.run(["ip", "-6", *up.split()])
        assert done.returncode == 1
        assert says in done.stderr
        assert held(own) == OWN


def test_an_etc_that_takes_nothing(spine: Spine, own: RealGuest) -> None:
    """A full disk, and one that is read-only: named with a remedy, and nothing stays beside the file."""
    own.run("cp -a /etc /root/etc && mount -t tmpfs -o size=8m tmpfs /etc && cp -a /root/etc/. /etc")
    for how, says, todo in (
        ("dd if=/dev/zero of=/etc/filling bs=4k 2>/dev/null; true", "No space left on device", "make room on its disk"),
        ("rm /etc/filling; mount -o remount,ro /etc", "Read-only file system", "make its /etc writable"),
    ):
        own.run(how)
        done = spine.host.guestnet("prefer-ipv6", "web1", "--name", NAME, check=False)
        assert done.returncode == 1
        assert says in done.stderr
        assert f"its file is as it was; {todo}" in done.stderr
        assert held(own) == OWN
        assert own.run("ls -A /etc | grep gai").stdout.split() == ["gai.conf"]
    own.run("umount /etc && rm -r /root/etc")


def test_apply_where_no_router_answers(spine: Spine, own: RealGuest) -> None:
    """Nothing is written, and the rest is done; with a router that answers it is."""
    host = spine.host
    dead = "2001:db8:1::dead"
    host.run(["ip", "-6", "route", "replace", "default", "via", dead, "dev", "up0"])
    host.write(
        FILE, SEED.replace("network: lab\n", "network: lab\n    prefer_ipv6: true\n").replace("4023:22", "4024:22")
    )
    done = host.guestnet("apply", "--yes", check=False)
    host.run(["ip", "-6", "route", "replace", "default", "via", ROUTER6, "dev", "up0"])
    assert done.returncode == 1
    assert (
        "prefer_ipv6 of guest web1: the host's IPv6 does not get out, and would wait in vain: the router" in done.stderr
    )
    assert f"{dead} on up0 does not answer" in done.stderr
    assert "the rest is done" in done.stderr
    assert "4024" in host.run(["nft", "list", "table", "inet", "guestnet"]).stdout
    assert held(own) == OWN
    apply(host)
    assert asked(own)[0] == ROUTER6
    apply(host, SEED)


def test_a_name_that_shows_nothing(spine: Spine, own: RealGuest) -> None:
    for name, got in (("v4.example", ROUTER4), ("v6.example", ROUTER6), ("nobody.example", "no address")):
        done = spine.host.guestnet("prefer-ipv6", "web1", "--name", name, check=False)
        assert done.returncode == 1
        assert f"guest web1 gets {got} for {name}: not of both families" in done.stderr
        assert held(own) == OWN


def test_a_link_is_somebody_elses(spine: Spine, own: RealGuest) -> None:
    own.run(f"mv {GAI} /root/elsewhere; ln -s /root/elsewhere {GAI}")
    done = spine.host.guestnet("prefer-ipv6", "web1", "--name", NAME, check=False)
    assert "guest web1: its /etc/gai.conf is a link to /root/elsewhere" in done.stderr
    own.run(f"mv /root/elsewhere {GAI}")


def test_json(spine: Spine, own: RealGuest) -> None:
    found = json.loads(spine.host.guestnet("prefer-ipv6", "web1", "--name", NAME, "--format", "json").stdout)
    assert found.pop("result")["done"] == ["gai.conf of web1 written"]
    assert found == {
        "guest": "web1",
        "libc": "glibc 2.36",
        "name": NAME,
        "prefixes": ["fddc:82d7:369f::/48"],
        "changed": True,
        "before": [ROUTER4, ROUTER6],
        "after": [ROUTER6, ROUTER4],
    }
    assert json.loads(spine.host.guestnet("reach", "--format", "json").stdout)["guests"] == {"web1": "prefers IPv6"}
    assert "(glibc, gai.conf as guestnet wrote it)" in spine.host.guestnet("select", "web1", ROUTER4, ROUTER6).stdout


def test_off_then_on_and_all_gone(spine: Spine) -> None:
    """A guest that is off waits; destroy leaves a running one as it was before."""
    guest, host = spine.guest, spine.host
    guest.destroy()
    host.write(FILE, SEED.replace("network: lab\n", "network: lab\n    prefer_ipv6: true\n"))
    plan = host.guestnet("plan").stdout
    assert "note: guest web1: prefer_ipv6 waits until it runs; then apply again" in plan
    assert "Nothing to do" in plan
    assert "guest web1 is off (start it: virsh start web1" in host.guestnet("prefer-ipv6", "web1", check=False).stderr
    guest.start()
    guest.wait_addresses()
    apply(host)
    assert asked(guest)[0] == ROUTER6
    host.guestnet("destroy", "--yes")
    assert held(guest) is None
    assert host.run(["ls", "/var/lib"]).stdout.count("guestnet") == 0
    # So does one that has no agent, later: there is no record of it any more.
    apply(host)
    assert asked(guest)[0] == ROUTER6
    agent = "qemu-ga -d -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0 -l /run/agent.log"
    script = f"sleep 1; kill $(pidof qemu-ga); sleep 20; {agent}; echo back >/run/back"
    guest.run(["sh", "-c", "rm -f /run/back; cat >/run/later"], input=script)
    guest.run("setsid sh /run/later >/run/later.log 2>&1 </dev/null &")
    time.sleep(3)
    done = host.guestnet("destroy", "--yes")
    left = "nothing of guestnet is left but its lines in /etc/gai.conf of web1; later: guestnet prefer-ipv6 web1 --undo"
    assert left in done.stderr
    time.sleep(20)
    assert held(guest) is not None
    host.guestnet("prefer-ipv6", "web1", "--undo")
    assert held(guest) is None
