"""Loss of power: each file of state truncated anywhere, empty, of another version, or garbage. It is recognised, told
anew by what is on the host, and no address changes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from guestnet.spec.memory import from_text
from lab import Lab
from lab.host import GUESTNET
from tests.live.conftest import FILE, SEED, apply
from tests.live.snapshot import snapshot

pytestmark = pytest.mark.lab

LIB = "/var/lib/guestnet"
# Much that is drawn and remembered: subnets, bridge, MACs, the ULA, addresses of guests with and without a MAC.
DRAWN = """
networks:
  lab: {mode: nat}
  cell: {mode: isolated}
guests:
  web1: {network: lab, mac: 52:54:00:12:34:56, forwards: ["4023:22"]}
  web2: {network: lab, mac: 52:54:00:12:34:57}
  db: {nics: [{network: cell, mac: 52:54:00:12:34:58}, {network: lab, mac: 52:54:00:12:34:59}]}
  late: {network: lab}
"""
OTHER = DRAWN.replace("4023:22", "4999:22")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.host.guestnet("plan", check=False)
        # So that what is drawn anew is not what comes first.
        apply(lab.host, DRAWN.replace("web1:", "aaa: {network: lab}\n  web1:") + "  zzz: {network: lab}\n")
        apply(lab.host, DRAWN)
        yield lab


def damaged(text: str) -> dict[str, str]:
    cuts = {f"cut at {cut}": text[:cut] for cut in (0, len(text) // 2, len(text) - 2)}
    return {**cuts, "older": text.replace(": 1", ": 0").replace(" 1\n", " 0\n"), "garbage": "\x00\x07{" * 50}


def remembered(host_text: str) -> tuple[object, ...]:
    found = from_text(host_text)
    return found.ula, found.networks, found.guests, found.sysctls


@pytest.mark.parametrize("point", [True, False], ids=["with the way back", "without"])
def test_memory(lab: Lab, point: bool) -> None:
    host, path = lab.host, f"{LIB}/memory.json"
    whole, before, way = host.read(path), snapshot(host), host.read(f"{LIB}/rollback")
    for how, text in {**damaged(whole), "gone": None}.items():
        if not point:
            host.run(["rm", "-f", f"{LIB}/rollback"])
        host.write(path, text) if text is not None else host.run(["rm", path])
        planned = host.guestnet("plan")
        assert "memory.json is damaged or gone; it is told anew by libvirt" in planned.stdout, how
        apply(host)
        if point:
            assert snapshot(host) == before, how
            assert host.read(f"{LIB}/rollback") == way, "mending leaves the way back"
        else:
            ula, networks, guests, sysctls = remembered(host.read(path))
            was = remembered(whole)
            assert (ula, networks, sysctls) == (was[0], was[1], was[3]), how
            gone = [("lab", "aaa"), ("lab", "zzz")]
            assert guests == {key: known for key, known in from_text(whole).guests.items() if key not in gone}, how
        host.write(path, whole)
        host.write(f"{LIB}/rollback", way)
        host.run(["chmod", "600", f"{LIB}/rollback"])
        assert snapshot(host) == before


def test_memory_and_hook_data_gone(lab: Lab) -> None:
    """All of /var/lib/guestnet: reservations tell of guests with a MAC, libvirt of the rest."""
    host = lab.host
    reservation = "/var/lib/libvirt/dnsmasq/guestnet-lab/web1"
    whole, before = host.read(f"{LIB}/memory.json"), host.read(reservation)
    host.run(["rm", "-r", LIB])
    apply(host)
    assert host.read(reservation) == before
    assert remembered(host.read(f"{LIB}/memory.json"))[:2] == remembered(whole)[:2]
    apply(host, OTHER)
    apply(host, DRAWN)


def test_of_a_newer_guestnet(lab: Lab) -> None:
    """That is not damage: what it says must not be lost."""
    host, path = lab.host, f"{LIB}/memory.json"
    whole = host.read(path)
    host.write(path, json.dumps({**json.loads(whole), "version": 2}))
    done = host.guestnet("apply", "--yes", check=False)
    assert done.returncode == 1
    assert "was written by a newer guestnet (version 2)" in done.stderr
    host.write(path, whole)


@pytest.mark.parametrize("name", ["applied.json", "applied.yaml"])
def test_what_was_applied(lab: Lab, name: str) -> None:
    host, path = lab.host, f"{LIB}/{name}"
    whole, before = host.read(path), snapshot(host)
    for how, text in damaged(whole).items():
        host.write(path, text)
        assert host.guestnet("plan").returncode == 0, how
        for verb in (["forward", "list"], ["status"]):
            done = host.guestnet(*verb, check=False)
            assert done.returncode in (0, 1), how
            assert "Traceback" not in done.stderr, how
        apply(host)
        if name == "applied.json":
            assert snapshot(host).replace("applied.yaml 644", "applied.yaml 600") == before, how
        host.write(path, whole)
        host.run(["chmod", "600" if name == "applied.yaml" else "644", path])


def test_hook_data(lab: Lab) -> None:
    host = lab.host
    before = snapshot(host)
    for file in ("table.nft", "admit", "guests/web1", "let_in.py"):
        path = f"{LIB}/compiled/{file}"
        for how, text in damaged(host.read(path)).items():
            host.write(path, text)
            apply(host)
            assert snapshot(host) == before, (file, how)


def test_a_journal(lab: Lab) -> None:
    """What a damaged one had begun nobody knows: all is compared with the file."""
    host = lab.host
    before = snapshot(host)
    host.write(FILE, OTHER)
    script = "import os, guestnet.act.apply as a; a._end = lambda *_, **__: os.kill(os.getpid(), 9)\n"
    script += "import sys; sys.argv = ['guestnet', 'apply', '--yes']; from guestnet.faces.cli import main; main()"

    host.run([GUESTNET.parent / "python", "-c", script], check=False)
    whole = host.read(f"{LIB}/journal")
    changed = snapshot(host)
    assert changed != before
    older = whole.replace('"guestnet journal": 2', '"guestnet journal": 1')
    for text in (
        older,
        "garbage\n",
        whole.replace("{", "[", 2),
        whole[: len(whole) // 2].rpartition("\n")[0] + "\n{}\n",
    ):
        host.write(f"{LIB}/journal", text)
        refused = host.guestnet("rollback", "--yes", check=False)
        assert refused.returncode == 1
        assert "guestnet apply makes the host what the file says, whatever state it is in" in refused.stderr
        assert "earlier apply was cut off" in host.guestnet("plan").stderr
        said = apply(host)
        assert f"it is kept as {LIB}/journal.damaged, and all is compared with the file" in said
        assert "Nothing to do" in apply(host)
    host.run(["rm", f"{LIB}/journal.damaged"])
    # Cut short, it says less than was done; what is left over is mended.
    for cut in (0, 10, len(whole) // 2, len(whole) - 3):
        host.write(f"{LIB}/journal", whole[:cut])
        assert "cut off; what it had begun has been taken back" in apply(host)
        assert "Nothing to do" in apply(host)
    apply(host, DRAWN)
    assert "Nothing to do" in apply(host, SEED.partition("networks:")[0] + DRAWN)


def test_a_record_of_a_guests_preference(lab: Lab) -> None:
    """Nobody knows what it said, so it goes; no verb is stopped by it."""
    lab.host.write(f"{LIB}/prefer-ipv6/web1", "\x00" * 20, mode=0o600)
    for verb in ("plan", "status"):
        lab.host.guestnet(verb)
    apply(lab.host)
    assert not lab.host.exists(f"{LIB}/prefer-ipv6/web1")
    assert "Nothing to do" in apply(lab.host)


def test_destroy_takes_what_is_damaged_or_left_over(lab: Lab) -> None:
    host = lab.host
    host.write(f"{LIB}/prefer-ipv6/db", "\x00" * 20, mode=0o600)
    host.write(f"{LIB}/journal.damaged", "\x00" * 20)
    host.run(["cp", f"{LIB}/compiled/guests/web1", "/run/now"])
    host.shell(f"mkdir -p {LIB}/compiled/now; cp /run/now {LIB}/compiled/now/web1; rm {LIB}/memory.json")
    host.guestnet("destroy", "--yes")
    assert host.shell("ls -dA /var/lib/guestnet /run/guestnet 2>/dev/null || true").stdout == ""
    assert host.guestnet("rollback", "--yes", check=False).returncode == 1, "there is nothing to bring back"
