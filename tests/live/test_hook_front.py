"""The file in libvirt's hook folders imports the program, which Python keeps compiled: whatever becomes of that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guestnet.compile.hookfront import COMPILED, PROGRAM
from lab import Lab
from lab.host import Host
from tests.live.conftest import apply, elements

pytestmark = pytest.mark.lab

HOOK = "/etc/libvirt/hooks/qemu.d/50-guestnet"
FILE = """networks:
  lab: {mode: nat, bridge: virbr84, ipv4: 192.168.84.1/24, ipv6: none}
guests:
  web1: {network: lab, mac: '52:54:00:12:34:56', ipv4: 192.168.84.10, forwards: ['4080:80']}
"""
UP = " : 192.168.84.10 . 80"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Lab() as lab:
        apply(lab.host, FILE)
        yield lab.host


def forwards_follow(host: Host) -> None:
    host.run([HOOK, "web1", "started", "begin", "-"], input="<domain/>")
    assert UP in elements(host)
    host.run([HOOK, "web1", "stopped", "end", "-"], input="<domain/>")
    assert UP not in elements(host)


def kept(host: Host) -> str:
    return host.shell(f"find {COMPILED} -name 'hook.*.pyc'").stdout.strip()


def test_it_is_compiled_once(host: Host) -> None:
    host.shell(f"rm -rf {COMPILED}")
    forwards_follow(host)
    file = kept(host)
    before = host.run(["stat", "-c", "%i %y", file]).stdout
    forwards_follow(host)
    assert host.run(["stat", "-c", "%i %y", file]).stdout == before


@pytest.mark.parametrize("size", [0, 7, 16, 20, 200, 20_000])
def test_what_was_kept_is_cut_off(host: Host, size: int) -> None:
    forwards_follow(host)
    file = kept(host)
    assert int(host.run(["stat", "-c", "%s", file]).stdout) > size
    host.run(["truncate", "-s", str(size), file])
    forwards_follow(host)


def test_what_was_kept_is_nonsense(host: Host) -> None:
    forwards_follow(host)
    host.shell(f"f={kept(host)}; (head -c 16 $f; head -c 5000 /dev/zero) > /run/new; mv /run/new $f")
    forwards_follow(host)


def test_another_program_is_compiled_anew(host: Host) -> None:
    """As a newer guestnet brings it; apply puts ours back."""
    forwards_follow(host)
    text = host.read(PROGRAM)
    host.write(PROGRAM, text.replace("def main(", "def main(argv: list[str]) -> None:\n    log('newer')\n\n\ndef old("))
    host.run([HOOK, "web1", "started", "begin", "-"], input="<domain/>")
    assert "newer" in host.read("/var/log/guestnet/hook.log")
    assert "~ the hooks' program" in host.guestnet("plan").stdout
    apply(host)
    forwards_follow(host)


def test_without_the_program_a_guest_starts(host: Host) -> None:
    host.run(["rm", PROGRAM])
    done = host.run([HOOK, "web1", "started", "begin", "-"], input="<domain/>")
    assert (done.stdout, "the hook's program does not start" in done.stderr) == ("", True)
    done = host.run([HOOK, "-", "rules"], check=False)
    assert (done.returncode, "run guestnet plan" in done.stderr) == (1, True)
    doctor = host.guestnet("doctor", check=False).stdout
    assert "wrong  hooks: not as they should be: the hooks' program added" in doctor
    apply(host)
    forwards_follow(host)


def test_destroy_leaves_nothing_of_it(host: Host) -> None:
    forwards_follow(host)
    host.guestnet("destroy", "--yes")
    left = host.shell("ls -d /var/lib/guestnet /run/guestnet /etc/libvirt/hooks/*/50-guestnet 2>/dev/null || true")
    assert left.stdout == ""
