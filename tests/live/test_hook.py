"""The hook run by hand, as libvirt runs it: many at once, with hostile names, with an nft that hangs or is missing."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from lab import Lab
from tests.live.conftest import ADMIT, SEED, apply, elements

pytestmark = pytest.mark.lab

HOOK = "/etc/libvirt/hooks/qemu.d/50-guestnet"
GUESTS = 20
FILE = "networks:\n  lab: {mode: nat, bridge: virbr84, ipv4: 192.168.84.1/24, ipv6: none}\nguests:\n" + "".join(
    f"  g{n}: {{network: lab, ipv4: 192.168.84.{100 + n}, forwards: ['{5000 + n}:80']}}\n" for n in range(GUESTS)
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        apply(lab.host, FILE)
        yield lab


def hook(lab: Lab, name: str, operation: str, given: str = "<domain/>", prefix: tuple[str, ...] = ()) -> str:
    """Runs it, and returns what it printed. It must end with 0."""
    argv = [*prefix, HOOK, name, operation, "begin", "-"]
    return lab.host.run(argv, input=given).stdout


def log(lab: Lab) -> str:
    return lab.host.read("/var/log/guestnet/hook.log") if lab.host.exists("/var/log/guestnet/hook.log") else ""


def ports(lab: Lab) -> set[int]:
    return {n for n in range(GUESTS) if f"192.168.84.{100 + n} " in elements(lab.host)}


def test_many_at_once(lab: Lab) -> None:
    everyone = " ".join(f"g{n}" for n in range(GUESTS))
    lab.host.shell(f"for g in {everyone}; do {HOOK} $g start begin - </dev/null & done; wait")
    lab.host.shell(f"for g in {everyone}; do {HOOK} $g started begin - </dev/null & done; wait")
    assert ports(lab) == set(range(GUESTS))
    odd = " ".join(f"g{n}" for n in range(1, GUESTS, 2))
    even = " ".join(f"g{n}" for n in range(0, GUESTS, 2))
    stop, again = f"{HOOK} $g stopped end - </dev/null &", f"{HOOK} $g started begin - </dev/null &"
    lab.host.shell(f"for g in {odd}; do {stop} done; for g in {even}; do {again} done; wait")
    assert ports(lab) == set(range(0, GUESTS, 2))
    assert log(lab) == ""
    apply(lab.host)  # libvirt knows none of them to run
    assert ports(lab) == set()


def test_two_hundred_at_once_some_of_them_killed(lab: Lab) -> None:
    """Two hundred hooks run at the same time, in random order, and one in five is killed at a random moment. The next
    run of any makes the forwards exactly those of the guests that run, and nothing is left of the killed ones."""
    chance = random.Random(11)  # noqa: S311  a test, the same each time
    for kills in (False, True, True):
        running = {n for n in range(GUESTS) if chance.random() < 0.5}
        lines = ["rm -f /run/libvirt/qemu/g*.xml"]
        lines += [f"echo '<domstatus/>' > /run/libvirt/qemu/g{n}.xml" for n in running]
        order = [n for n in range(GUESTS) for _ in range(200 // GUESTS)]
        chance.shuffle(order)
        for n in order:
            lines.append(f"{HOOK} g{n} {'started begin' if n in running else 'stopped end'} - </dev/null & pid=$!")
            if kills and chance.random() < 0.2:
                lines.append(f"(sleep {chance.random() * 5:.3f}; kill -9 $pid 2>/dev/null || true) &")
        lab.host.shell("\n".join([*lines, "wait"]))
        hook(lab, "unknown", "start")
        assert ports(lab) == running
        assert lab.host.shell("ls /run/guestnet").stdout.split() == ["apply.lock", "python", "rules.lock"]
    lab.host.shell("rm -f /run/libvirt/qemu/g*.xml /var/log/guestnet/hook.log")
    apply(lab.host)
    assert ports(lab) == set()


def test_a_mark_of_a_process_id_that_was_given_anew(lab: Lab) -> None:
    """Its own id, or that of somebody who lives: nobody holds the mark, so the run that made it did not finish."""
    lab.host.write("/run/libvirt/qemu/g2.xml", "<domstatus/>")
    for mark in ("busy.$$", "busy.1"):
        lab.host.run(["nft", "flush", "map", "inet", "guestnet", "any4"])
        lab.host.shell(f"echo > /run/guestnet/{mark}; exec {HOOK} unknown start begin - </dev/null")
        assert ports(lab) == {2}, mark
        assert lab.host.shell("ls /run/guestnet").stdout.split() == ["apply.lock", "python", "rules.lock"]
    lab.host.run(["rm", "/run/libvirt/qemu/g2.xml"])
    apply(lab.host)


def test_what_a_killed_hook_started_changes_nothing_later(lab: Lab) -> None:
    """Its nft lives on, slowly; the next hook waits for it, and has the last word."""
    slow = '#!/bin/sh\nsleep 1\nexec /run/nft.real "$@"\n'
    lab.host.shell("cp $(readlink -f /usr/sbin/nft) /run/nft.real")
    lab.host.write("/run/nft.slow", slow, mode=0o755)
    lab.host.run(["mount", "--bind", "/run/nft.slow", "/usr/sbin/nft"])
    try:
        lab.host.shell(f"{HOOK} g1 started begin - </dev/null & pid=$!; sleep 0.4; kill -9 $pid; wait || true")
    finally:
        lab.host.run(["umount", "-l", "/usr/sbin/nft"])  # the slow one still runs
    hook(lab, "g1", "stopped")
    assert ports(lab) == set()
    time.sleep(1.2)
    assert ports(lab) == set()


@pytest.mark.parametrize(
    "damage",
    [
        "head -c 45 /run/kept > {file}",
        "head -n 2 /run/kept > {file}",
        "echo 'any4 tcp . http : 1.2.3 . 4' >> {file}",
        "sed 's/any4.*/any4 tcp . http-nonsense : 1.2.3 . 4/' /run/kept > {file}",
        "sed 's/guestnet 1/guestnet 2/' /run/kept > {file}",
        "head -c 300 /dev/urandom > {file}",
        ": > {file}",
    ],
)
def test_damaged_data_of_one_guest(lab: Lab, damage: str) -> None:
    """It starts, the others keep their forwards, everybody the table; status and plan go on, and apply mends it."""
    file = "/var/lib/guestnet/compiled/guests/g1"
    lab.host.shell(f"cp {file} /run/kept; {damage.format(file=file)}; nft delete table inet guestnet")
    for name in ("g1", "g2"):
        lab.host.write(f"/run/libvirt/qemu/{name}.xml", "<domstatus/>")
    hook(lab, "g1", "start")
    assert ports(lab) == {2}
    assert lab.host.exists("/var/log/guestnet/hook.log")
    for verb in ("plan", "status"):
        assert lab.host.guestnet(verb, check=False).returncode == 0
    apply(lab.host)
    assert lab.host.read(file) == lab.host.read("/run/kept")
    lab.host.shell("rm -f /run/libvirt/qemu/g*.xml /var/log/guestnet/hook.log")
    apply(lab.host)


def test_no_table_is_prepared_though_networks_are_there(lab: Lab) -> None:
    lab.host.shell("mv /var/lib/guestnet/compiled/table.nft /run/kept")
    try:
        hook(lab, "g1", "start")
        assert "no isolation and no forwards" in lab.host.read("/var/log/guestnet/hook.log")
        done = lab.host.run([HOOK, "-", "rules"], check=False)
        assert done.returncode == 1
        assert "table.nft is missing" in done.stderr
    finally:
        lab.host.shell("mv /run/kept /var/lib/guestnet/compiled/table.nft; rm -f /var/log/guestnet/hook.log")


def test_twice_is_as_once(lab: Lab) -> None:
    for operation in ("started", "started", "reconnect"):
        hook(lab, "g1", operation)
        assert ports(lab) == {1}
    for operation in ("stopped", "release", "release"):
        hook(lab, "g1", operation)
        assert ports(lab) == set()


def test_on_doubt_everything_is_rebuilt(lab: Lab) -> None:
    """g2 runs, by libvirt's own folder; the table is gone, and g3 starts."""
    lab.host.write("/run/libvirt/qemu/g2.xml", "<domstatus/>")
    lab.host.run(["nft", "delete", "table", "inet", "guestnet"])
    hook(lab, "g3", "started")
    assert ports(lab) == {2, 3}
    lab.host.run(["nft", "flush", "map", "inet", "guestnet", "any4"])
    # Another guest has g4's port in the map: the element can't be added beside it.
    lab.host.run(["nft", "add", "element", "inet", "guestnet", "any4", "{ tcp . 5004 : 192.168.84.9 . 80 }"])
    hook(lab, "g4", "started")
    assert ports(lab) == {2, 4}
    lab.host.run(["rm", "/run/libvirt/qemu/g2.xml"])
    apply(lab.host)
    lab.host.run(["rm", "-f", "/var/log/guestnet/hook.log"])


def test_a_guest_whose_file_is_odd_is_not_the_others_trouble(lab: Lab) -> None:
    odd = f"/run/libvirt/qemu/{'w.' * 100}.xml"
    lab.host.write(odd, "not xml")
    lab.host.write("/run/libvirt/qemu/g2.xml", "<domstatus/>")
    lab.host.run(["nft", "delete", "table", "inet", "guestnet"])
    hook(lab, "g3", "start")
    assert ports(lab) == {2, 3}
    lab.host.run(["rm", odd, "/run/libvirt/qemu/g2.xml", "/var/log/guestnet/hook.log"])
    apply(lab.host)


def test_before_a_guest_starts_table_and_admit_rules_are_there(lab: Lab) -> None:
    lab.host.shell("nft delete table inet guestnet; iptables -F FORWARD; ip6tables -F FORWARD")
    hook(lab, "unknown", "start")
    for program in ("iptables", "ip6tables"):
        assert lab.host.run([program, "-C", "FORWARD", *ADMIT], check=False).returncode == 0
    assert "guestnet" in lab.host.run(["nft", "list", "tables"]).stdout
    lab.host.run(["rm", "/var/log/guestnet/hook.log"])


def test_one_change_of_the_rules_at_a_time(lab: Lab) -> None:
    holder = lab.host.popen(["flock", "/run/guestnet/rules.lock", "sleep", "1.5"])
    time.sleep(0.3)
    began = time.monotonic()
    hook(lab, "g1", "started")
    assert time.monotonic() - began > 0.8, "it waited for whoever changes the rules"
    holder.wait(timeout=5)
    hook(lab, "g1", "stopped")


@pytest.mark.parametrize("name", ["../../../../tmp/x", "a;reboot", "$(id)", "-f", "a\nb", "'", '"', "}", "ü" * 80, ""])
@pytest.mark.parametrize("operation", ["prepare", "started", "stopped"])
def test_hostile_names(lab: Lab, name: str, operation: str) -> None:
    before = lab.host.shell("nft -s list ruleset; find /var/lib/guestnet /run/guestnet; ls /tmp").stdout
    assert (
        hook(lab, name, operation, "<domain><interface type='network'><source network='lab'/></interface></domain>")
        == ""
    )
    assert lab.host.shell("nft -s list ruleset; find /var/lib/guestnet /run/guestnet; ls /tmp").stdout == before


@pytest.mark.parametrize(
    "given", ["", "not xml", "<domain>", "<a>" * 100_000, "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "\0"]
)
def test_hostile_xml(lab: Lab, given: str) -> None:
    assert hook(lab, "g5", "prepare", given) == ""
    assert not lab.host.exists("/var/lib/libvirt/dnsmasq/guestnet-lab/g5")


def test_migration_and_restore_get_nothing_on_stdout(lab: Lab) -> None:
    for operation in ("migrate", "restore", "attach", "unheard-of"):
        assert hook(lab, "g1", operation) == ""


def replaced(program: str, script: str) -> tuple[str, ...]:
    """A prefix under which a program is another script."""
    make = f"printf '#!/bin/sh\\n{script}\\n' > /run/other; chmod 755 /run/other; mount --bind /run/other {program}"
    return ("unshare", "--mount", "sh", "-c", f'{make}; exec "$@"', "sh")


def test_an_nft_that_hangs(lab: Lab) -> None:
    began = time.monotonic()
    hook(lab, "g1", "started", prefix=replaced("/usr/sbin/nft", "exec sleep 61"))
    assert 9 < time.monotonic() - began < 20
    assert "not done within 10 s" in log(lab)
    # Other tests' ended children may still be listed, as <defunct>.
    assert "sleep 61" not in lab.host.run(["ps", "-eo", "args"]).stdout


def test_an_nft_that_fails(lab: Lab) -> None:
    hook(lab, "g1", "started", prefix=replaced("/usr/sbin/nft", "exit 1"))
    assert "could not be put back" in log(lab)


WITHOUT = """
mkdir -p /run/sbin; cp -a /usr/sbin/. /run/sbin; rm -f /run/sbin/ip*tables*; mount --bind /run/sbin /usr/sbin; exec "$@"
"""


@pytest.mark.parametrize("operation", ["start", "rules", "network"])
def test_isolation_needs_no_iptables(lab: Lab, operation: str) -> None:
    """Neither has the rest: table, forwards, and the networks' own. The log says what is missing."""
    host = lab.host
    host.write("/run/libvirt/qemu/g2.xml", "<domstatus/>")
    host.write("/var/lib/guestnet/compiled/localnets", "virbr84\n")
    host.shell("rm -f /var/log/guestnet/hook.log; nft delete table inet guestnet")
    host.sysctl("ipv4/conf/virbr84/route_localnet", 0)
    words = {
        "start": [HOOK, "g3", "start", "begin", "-"],
        "rules": [HOOK, "-", "rules"],
        "network": [HOOK.replace("qemu.d", "network.d"), "lab", "started", "begin", "-"],
    }[operation]
    given = "<hookData><network><name>lab</name><bridge name='virbr84'/></network></hookData>"
    done = host.run(["unshare", "--mount", "sh", "-c", WITHOUT, "sh", *words], input=given, check=False)
    assert done.returncode == (operation == "rules"), "only the unit may fail"
    assert ports(lab) == ({2, 3} if operation == "start" else {2})
    for program in ("iptables", "ip6tables"):
        assert f"{program} can't be run" in log(lab)
    assert operation != "network" or host.sysctl("ipv4/conf/virbr84/route_localnet") == "1"
    host.shell("rm /run/libvirt/qemu/g2.xml /var/lib/guestnet/compiled/localnets /var/log/guestnet/hook.log")
    host.sysctl("ipv4/conf/virbr84/route_localnet", 0)
    apply(host)


def test_the_note_about_libvirts_first_hook(lab: Lab) -> None:
    assert "restart it once" in lab.host.guestnet("plan").stdout
    lab.host.libvirtd.restart()
    assert "restart it once" not in lab.host.guestnet("plan").stdout
    apply(lab.host, SEED)
    assert "restart it once" not in lab.host.guestnet("plan").stdout
