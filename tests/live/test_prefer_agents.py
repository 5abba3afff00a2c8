"""Guest agents that hang, die, answer nonsense or may not touch files: a clear error in time, and the guest's gai.conf
is the old one or the new one, never half. The agent is the real one, in a real guest, but for nonsense."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from lab.errors import CommandError, LabError
from lab.guest import RealGuest
from lab.host import GUESTNET
from lab.process import wait_for
from tests.live.conftest import FILE, SEED, Spine, apply

pytestmark = pytest.mark.lab

NAME = "echo.example"
GAI = "/etc/gai.conf"
OLD = b"# of the guest's own\n"
PORT = "/dev/virtio-ports/org.qemu.guest_agent.0"
REAL = f"qemu-ga -d -m virtio-serial -p {PORT} -l /run/agent.log"
# No agent that is for sale answers so: this one does libvirt's handshake, and says the same to all else.
FAKE = f"""
exec 3<>{PORT}
while sleep 0.1; do  # until libvirt is at the other end there is nothing to read
    while read -r line <&3; do
        id=$(echo "$line" | sed -n 's/.*"id" *: *\\([0-9]*\\).*/\\1/p')
        case $line in
        *guest-sync*) echo "{{\\"return\\": $id}}" >&3 ;;
        *) cat /run/nonsense >&3 ;;
        esac
    done
done
"""


def later(guest: RealGuest, script: str) -> None:
    """Does something to the guest's agent as soon as that has answered this, and waits until it has begun."""
    guest.run(["sh", "-c", "rm -f /run/back; cat >/run/later"], input=f"sleep 1\n{script}\necho back >/run/back\n")
    guest.run("setsid sh /run/later >/run/later.log 2>&1 </dev/null &")
    time.sleep(2)


def back(guest: RealGuest) -> None:
    """Waits until the script that was started `later` has come to its end, and the agent is the usual one."""

    def there() -> bool:
        try:
            return guest.run(["cat", "/run/back"], check=False).stdout == "back\n"
        except (CommandError, LabError, KeyError, TypeError, ValueError):  # the other one still answers
            return False

    wait_for("the usual agent", there, timeout=60, interval=0.5)


def instead(agent: str, seconds: int) -> str:
    """The lines that put another agent in the place of the guest's own for so long."""
    return f"""kill $(pidof qemu-ga); sleep 0.5
{agent} &
sleep {seconds}
kill -9 $! $(pidof qemu-ga); sleep 0.5
{REAL}
"""


def held(guest: RealGuest) -> bytes:
    return guest.run(["cat", GAI]).stdout.encode()


@pytest.fixture
def guest(spine: Spine) -> Iterator[RealGuest]:
    """web1 with a gai.conf of its own, which is there at the end, and nothing beside it; its agent is the usual one."""
    there = spine.guest
    there.run(["sh", "-c", f"cat >{GAI}"], input=OLD.decode())
    there.run("echo back >/run/back")
    yield there
    back(there)
    assert held(there) == OLD
    spine.host.guestnet("prefer-ipv6", "web1", "--name", NAME)  # all is well again
    spine.host.guestnet("prefer-ipv6", "web1", "--undo")
    assert held(there) == OLD
    assert there.run("ls -A /etc | grep gai").stdout.split() == ["gai.conf"]


def refused(spine: Spine, *more: str) -> tuple[str, float]:
    """What it says, and after how many seconds."""
    began = time.monotonic()
    done = spine.host.guestnet("prefer-ipv6", "web1", "--name", NAME, *more, check=False)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr, time.monotonic() - began


def test_stopped(spine: Spine, guest: RealGuest) -> None:
    """It hangs: no answer at all."""
    later(guest, "kill -STOP $(pidof qemu-ga); sleep 40; kill -CONT $(pidof qemu-ga)")
    said, seconds = refused(spine)
    assert "the agent of guest web1: Guest agent is not responding" in said
    assert seconds < 25, "it does not wait for the guest to go on"
    # apply goes on without it, and says so.
    began = time.monotonic()
    spine.host.write(
        FILE, SEED.replace("network: lab\n", "network: lab\n    prefer_ipv6: true\n").replace("4023:22", "4024:22")
    )
    done = spine.host.guestnet("apply", "--yes", check=False)
    assert done.returncode == 1
    assert " left  gai.conf of web1 written" in done.stderr
    assert "the rest is done" in done.stderr
    assert "4024" in spine.host.run(["nft", "list", "table", "inet", "guestnet"]).stdout
    assert time.monotonic() - began < 20
    back(guest)
    assert held(guest) == OLD
    apply(spine.host)
    assert b"label" in held(guest)
    apply(spine.host, SEED)
    assert held(guest) == OLD


def test_rollback_without_an_answer(spine: Spine, guest: RealGuest) -> None:
    """All else goes back; what is left is named, with what mends it, and it is no success."""
    apply(spine.host, SEED)
    wish = SEED.replace("network: lab\n", "network: lab\n    prefer_ipv6: true\n").replace("4023:22", "4024:22")
    apply(spine.host, wish)
    assert b"label" in held(guest)
    later(guest, "kill -STOP $(pidof qemu-ga); sleep 20; kill -CONT $(pidof qemu-ga)")
    done = spine.host.guestnet("rollback", "--yes", check=False)
    assert done.returncode == 1
    assert " left  gai.conf of web1 as before" in done.stderr
    assert "the agent of guest web1: Guest agent is not responding" in done.stderr
    assert "the rest is done: but for that the host is as it was before the apply of " in done.stderr
    assert "; later: guestnet prefer-ipv6 web1 --undo\n" in done.stderr
    assert "4023" in spine.host.run(["nft", "list", "table", "inet", "guestnet"]).stdout
    back(guest)
    assert b"label" in held(guest)
    spine.host.guestnet("prefer-ipv6", "web1", "--undo")
    assert held(guest) == OLD
    spine.host.write(FILE, SEED)
    assert "Nothing to do" in spine.host.guestnet("plan").stdout


def test_undone_without_an_answer(spine: Spine, guest: RealGuest) -> None:
    """Nobody reads along when the countdown does it: its log says what is left."""
    host = spine.host
    apply(host, SEED)
    host.write(FILE, SEED.replace("network: lab\n", "network: lab\n    prefer_ipv6: true\n"))
    host.guestnet("apply", "--yes", "--confirm", "6")
    assert b"label" in held(guest)
    later(guest, "kill -STOP $(pidof qemu-ga); sleep 20; kill -CONT $(pidof qemu-ga)")
    wait_for("the undoing", lambda: not host.exists("/var/lib/guestnet/confirm.json"), timeout=40)
    log = "/var/log/guestnet/countdown.log"
    left = ": it is undone, but: the agent of guest web1: Guest agent is not responding"
    wait_for("its log", lambda: left in host.read(log))
    back(guest)
    host.write(FILE, SEED)
    assert "- IPv6 first: its /etc/gai.conf as before" in host.guestnet("plan").stdout
    apply(host)
    assert held(guest) == OLD


@pytest.mark.parametrize("command", ["guest-file-open", "guest-exec"])
def test_not_allowed(spine: Spine, guest: RealGuest, command: str) -> None:
    later(guest, instead(f"{REAL.replace(' -d ', ' ')} -b {command}", 8))
    said, _ = refused(spine)
    assert "the agent of guest web1: " in said
    assert "disabled" in said
    assert "let its agent do that: see its --block-rpcs" in said


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("no json at all", "the agent of guest web1: "),
        ('{"return": 7}', "answers guest-exec with what is no answer: 7"),
        ('{"return": {"pid": 1, "exited": true, "exitcode": 0, "out-data": "***"}}', "what is no answer"),
        ('{"error": {"class": "X", "desc": "\\u001b[31mred"}}', "[31mred"),
    ],
)
def test_nonsense(spine: Spine, guest: RealGuest, answer: str, says: str) -> None:
    guest.run(["sh", "-c", "cat >/run/nonsense"], input=f"{answer}\n")
    guest.run(["sh", "-c", "cat >/run/fake"], input=FAKE)
    later(guest, instead("sh /run/fake", 8))
    said, seconds = refused(spine)
    assert says in said
    assert "\x1b" not in said
    assert seconds < 15


@pytest.mark.parametrize("form", ["table", "json"])
def test_windows(spine: Spine, guest: RealGuest, form: str) -> None:
    """There is none here; this one says that it is. The lines are for its administrator, and nothing was done."""
    guest.run(
        ["sh", "-c", "cat >/run/nonsense"], input='{"return": {"id": "mswindows", "pretty-name": "Windows 11"}}\n'
    )
    guest.run(["sh", "-c", "cat >/run/fake"], input=FAKE)
    later(guest, instead("sh /run/fake", 8))
    done = spine.host.guestnet("prefer-ipv6", "web1", "--format", form, check=False)
    assert done.returncode == 1
    assert "guest web1 runs Windows 11, which has no gai.conf; nothing was changed" in done.stderr
    said = done.stdout
    if form == "json":
        told = json.loads(said)
        assert told["result"]["outcome"] == "refused"
        said = told["commands"][0]
    assert said.startswith("netsh interface ipv6 add prefixpolicy prefix=fddc:82d7:369f::/48 ")


@pytest.mark.parametrize("renamed", [False, True])
def test_it_dies_in_the_middle(spine: Spine, guest: RealGuest, renamed: bool) -> None:
    """Just before the new file is renamed, or just after: then the guest has the old one, or the new one."""
    # A busybox asks its own mv before any other, so it is the script that dies, as this shell hands it on.
    where = "$ a" if renamed else "s/^mv /:/; /^:/i"
    shell = f"""#!/bin/busybox sh
case $2 in
*gai.conf.guestnet-new*)
    /bin/busybox rm /bin/sh; /bin/busybox ln -s busybox /bin/sh; rm -f /run/back
    setsid /bin/busybox sh -c 'sleep 6; {REAL}; echo back >/run/back' >/dev/null 2>&1 </dev/null &
    script=$(echo "$2" | sed '{where} kill -9 $(pidof qemu-ga); sleep 9')
    shift 2; exec /bin/busybox sh -c "$script" "$@" ;;
esac
exec /bin/busybox sh "$@"
"""
    guest.run(["sh", "-c", "cat >/run/sh; chmod +x /run/sh; mv /run/sh /bin/sh"], input=shell)
    said, seconds = refused(spine)
    assert "the agent of guest web1: " in said
    assert seconds < 20
    back(guest)
    content = held(guest)
    assert (b"label fddc:" in content) is renamed
    assert content.endswith(OLD)
    spine.host.guestnet("prefer-ipv6", "web1", "--undo")


@pytest.mark.parametrize("musl", [True, False])
def test_no_glibc(spine: Spine, guest: RealGuest, musl: bool) -> None:
    """As a guest with musl has it: its loader, and no getent of glibc. Once that is known the plan says it."""
    loader = "/lib/ld-musl-x86_64.so.1"
    guest.run(f"mv /usr/bin/getent /root; {'touch' if musl else 'rm -f'} {loader}")
    said, _ = refused(spine)
    why = f"its resolver is musl's ({loader}), which has no gai.conf" if musl else "it has no getent of glibc"
    assert f"guest web1: {why}" in said
    select = spine.host.guestnet("select", "web1", "2001:db8::1", "192.0.2.1").stdout
    assert ("web1 (musl, as prefer-ipv6 met it) asks" in select) is musl
    assert "guestnet prefer-ipv6" not in select
    assert "a global IPv6 prefix" in said
    wish = SEED.replace("network: lab\n", "network: lab\n    prefer_ipv6: true\n")
    spine.host.write(FILE, wish)
    plan = spine.host.guestnet("plan").stdout
    assert "note: guest web1: prefer_ipv6 is not set in it:" in plan
    assert "Nothing to do" in plan
    assert "prefers IPv4" in spine.host.guestnet("status").stdout
    spine.host.write(FILE, SEED)
    guest.run(f"mv /root/getent /usr/bin; rm -f {loader}")


def test_guestnet_is_killed_meanwhile(spine: Spine, guest: RealGuest) -> None:
    """While it waits for the agent: the next apply takes back what was begun, and does it whole."""
    later(guest, "kill -STOP $(pidof qemu-ga); sleep 8; kill -CONT $(pidof qemu-ga)")
    spine.host.write(FILE, SEED.replace("network: lab\n", "network: lab\n    prefer_ipv6: true\n"))
    killed = spine.host.run(["timeout", "-s", "KILL", "4", str(GUESTNET), "apply", "--yes"], check=False)
    assert killed.returncode not in (0, 1)
    back(guest)
    assert held(guest) == OLD
    done = spine.host.guestnet("apply", "--yes")
    assert "an earlier apply was cut off" in done.stderr
    assert b"label" in held(guest)
    apply(spine.host, SEED)
    assert held(guest) == OLD
