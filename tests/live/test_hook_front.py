"""The file in libvirt's hook folders imports the program, which Python keeps compiled: whatever becomes of that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
    assert (done.stdout, "the program of the hook does not start" in done.stderr) == ("", True)
    done = host.run([HOOK, "-", "rules"], check=False)
    assert (done.returncode, "run guestnet plan" in done.stderr) == (1, True)
    doctor = host.guestnet("doctor", check=False).stdout
    assert "wrong  hooks: not as they should be: the hooks' program added" in doctor
    apply(host)
    forwards_follow(host)


@contextmanager
def covered(host: Host, by: str, path: str) -> Iterator[None]:
    """Something else stands at a path for a while."""
    host.shell(f"mount {by} {path}")
    try:
        yield
    finally:
        host.shell(f"umount {path}")


@pytest.mark.parametrize("python", ["missing", "broken"])
def test_without_python_guests_start_and_run_on(host: Host, python: str) -> None:
    """libvirt ends a running guest whose `reconnect` hook fails, and each that starts."""
    if "web1" not in host.virsh("list", "--all", "--name").stdout:
        host.define_guest("web1", "lab", "52:54:00:12:34:56")
        host.libvirtd.restart()  # it sees the hooks
    host.virsh("start", "--paused", "web1")
    kind = {"missing": ("", 0o644), "broken": ("#!/bin/false\n", 0o755)}[python]
    host.write("/run/instead", kind[0], mode=kind[1])
    path = host.shell("readlink -f /usr/bin/python3").stdout.strip()
    with covered(host, "--bind /run/instead", path):
        host.libvirtd.restart()
        assert host.virsh("domstate", "web1").stdout.strip() == "paused"
        host.virsh("destroy", "web1")
        host.virsh("start", "--paused", "web1")
        assert host.run([HOOK, "-", "rules"], check=False).returncode == 1
    host.run([HOOK, "-", "rules"])
    assert UP in elements(host)
    host.virsh("destroy", "web1")


@pytest.mark.parametrize(
    "by", ["-t tmpfs -o size=4k,nr_inodes=1 none", "-o bind,ro /var/log", "-t tmpfs -o mode=777 none"]
)
def test_without_a_log_guests_are_isolated(host: Host, by: str) -> None:
    """A full disk, one that can't be written, a folder that others can write."""
    host.shell("mkdir -p /var/log/guestnet")
    with covered(host, by, "/var/log/guestnet"):
        host.shell("nft delete table inet guestnet")
        host.run([HOOK, "web1", "start", "begin", "-"], input="<domain/>")
        assert "chain forward" in host.shell("nft list chain inet guestnet forward").stdout
        assert not host.exists("/var/log/guestnet/hook.log")
        forwards_follow(host)
    assert host.shell("ls /run/guestnet | grep busy || true").stdout == ""


def test_without_room_for_its_mark_guests_are_isolated(host: Host) -> None:
    """A full /run: other runs are not waited for then."""
    with covered(host, "-t tmpfs -o mode=755,nr_inodes=1 none", "/run/guestnet"):
        host.shell("nft delete table inet guestnet")
        host.run([HOOK, "web1", "start", "begin", "-"], input="<domain/>")
        assert "chain forward" in host.shell("nft list chain inet guestnet forward").stdout
    assert "other runs are not waited for" in host.read("/var/log/guestnet/hook.log")


def test_the_log_is_no_link(host: Host) -> None:
    """/var/log is a group's on some systems (Ubuntu's syslog), which could lead root's words elsewhere."""
    host.shell("rm -rf /var/log/guestnet; mkdir -p /run/theirs; ln -s /run/theirs /var/log/guestnet")
    host.shell(f"chmod 666 {PROGRAM.replace('hook.py', 'compiled/table.nft')}")  # something to say
    host.run([HOOK, "web1", "start", "begin", "-"], input="<domain/>")
    assert host.shell("ls /run/theirs").stdout == ""
    host.shell("rm /var/log/guestnet; mkdir /var/log/guestnet; ln -s /run/victim /var/log/guestnet/hook.log")
    host.run([HOOK, "web1", "start", "begin", "-"], input="<domain/>")
    assert not host.exists("/run/victim")
    host.shell(f"rm /var/log/guestnet/hook.log; chmod 644 {PROGRAM.replace('hook.py', 'compiled/table.nft')}")


def test_a_caller_without_umask(host: Host) -> None:
    """What Python keeps is code that root runs: nobody else may write there."""
    host.shell("rm -rf /run/guestnet; umask 0; echo '<domain/>' | " + HOOK + " web1 start begin -")
    assert kept(host)
    assert host.shell("find /run/guestnet -perm /022 ! -type l").stdout == ""


def test_what_is_kept_where_others_can_write_is_not_used(host: Host) -> None:
    forwards_follow(host)
    file = kept(host)
    host.shell(f"chmod 777 {COMPILED}; dd if=/dev/zero of={file} bs=1 seek=16 count=9 conv=notrunc")
    before = host.shell(f"sha256sum {file}").stdout
    forwards_follow(host)
    assert host.shell(f"sha256sum {file}").stdout == before
    host.shell(f"chmod 755 {COMPILED}")
    forwards_follow(host)


def test_a_name_longer_than_a_files_is_in_no_file(host: Host) -> None:
    host.shell("rm -f /var/log/guestnet/hook.log")
    for operation in ("restore", "prepare", "start", "started", "stopped", "release"):
        host.run([HOOK, "." * 90, operation, "begin", "-"], input="<domain/>")
    assert not host.exists("/var/log/guestnet/hook.log")
    assert host.shell("ls /run/guestnet | grep busy || true").stdout == ""


def test_destroy_leaves_nothing_of_it(host: Host) -> None:
    forwards_follow(host)
    host.guestnet("destroy", "--yes")
    left = host.shell("ls -d /var/lib/guestnet /run/guestnet /etc/libvirt/hooks/*/50-guestnet 2>/dev/null || true")
    assert left.stdout == ""
