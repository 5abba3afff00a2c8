"""The hook under names and XML that nobody would write by accident, made by hypothesis: it ends with 0, prints nothing,
and changes nothing on the host but its own log."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab import Lab
from lab.host import Host
from tests.live.conftest import apply

pytestmark = pytest.mark.lab

HOOK = "/etc/libvirt/hooks/{}.d/50-guestnet"
QEMU_HOOK = HOOK.format("qemu")
FILE = """networks:
  lab: {mode: nat, bridge: virbr84, ipv4: 192.168.84.1/24, ipv6: 'fd84::1/64'}
guests:
  web1: {network: lab, mac: '52:54:00:12:34:56', ipv4: 192.168.84.10, forwards: ['4080:80', '4081:81/udp']}
  moved: {network: lab, forwards: ['4090:80']}
"""
# Runs each case as libvirt does, one after the other: [argv, what comes on standard input, in base64].
RUNS = r"""
import base64, json, subprocess, sys
found = []
for argv, given in json.load(sys.stdin):
    done = subprocess.run(argv, input=base64.b64decode(given), capture_output=True, timeout=30)
    found.append([done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")])
print(json.dumps(found))
"""
# What a lab's host has of its own, in files and rules; what the hook may write is left out.
SEEN = """
nft -s list ruleset | sort; iptables -S; ip6tables -S; ip -o link | wc -l
find /run /etc/libvirt /etc/guestnet /var/lib/guestnet /var/lib/libvirt/dnsmasq -type f -not -path '/run/guestnet/*' \
  -not -path '/run/lab/*' -not -path '/run/l*/*.pid' -exec md5sum {} + | sort
ls /run/guestnet /var/log/guestnet
"""
Case = tuple[list[str], bytes]

WORDS = [
    *("web1", "moved", "lab", "../../etc/cron.d/x", "..", ".", "-f", "--help", "$(touch /run/x)", "`id`", ";reboot"),
    *(
        "a\nb",
        'a"b',
        "a'b",
        "} add table inet x {",
        "web1\n4080",
        "%2e%2e%2f",
        "ü" * 200,
        "\U0001f600",
        "*",
        "| tee /run/x",
    ),
    *("52:54:00:12:34:56", "52:54:00:12:34:57,set:x", "virbr84", "vnet0; ip link del lo", "/dev/null", "a" * 5000),
]
STRANGE = st.one_of(st.sampled_from(WORDS), st.text(max_size=30))
# Guests that are not in the file, so nothing is to be done for them. An argument holds no NUL.
NAMES = STRANGE.filter(lambda name: name not in ("web1", "moved", "lab") and "\0" not in name)
QEMU = ["prepare", "start", "started", "stopped", "release", "reconnect", "migrate", "restore", "attach"]
NETWORK = ["start", "started", "stopped", "port-created", "port-deleted", "updated"]


@st.composite
def xml(draw: st.DrawFn) -> bytes:
    """As libvirt's, with strange values; then perhaps damaged."""
    nics = draw(st.lists(st.tuples(STRANGE, STRANGE, STRANGE), max_size=3))
    parts = "".join(
        f"<interface type='network'><mac address={quoteattr(mac)}/><source network={quoteattr(network)}/>"
        f"<target dev={quoteattr(tap)}/></interface>"
        for mac, network, tap in nics
    )
    text = f"<domain type='kvm'><name>{draw(STRANGE)}</name><devices>{parts}</devices></domain>"
    given = text.encode(draw(st.sampled_from(["utf-8", "utf-16", "utf-32"])), errors="replace")
    cut = draw(st.integers(0, len(given)))
    return draw(st.sampled_from([given, given[:cut], given + given, b"\0" + given, given[cut:]]))


ENTITIES = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10))
WHOLE = [
    b"",
    b"<domain>" * 200_000,
    b"<domain name='" + b"x" * 10_000_000 + b"'/>",
    b"\xff\xfe\x00" * 1000,
    "<?xml version='1.0' encoding='ISO-8859-1'?><domain><name>\xe9</name></domain>".encode("latin-1"),
    f"<!DOCTYPE d [<!ENTITY a0 'x'>{ENTITIES}]><domain><interface><mac address='&a9;'/></interface></domain>".encode(),
    b"<!DOCTYPE d [<!ENTITY a SYSTEM 'file:///etc/shadow'>]><domain><interface><mac address='x'/>&a;</interface>",
    b"<!DOCTYPE d SYSTEM 'http://203.0.113.1/x'><domain/>",
]


def case(kind: str, operations: list[str]) -> st.SearchStrategy[Case]:
    program = HOOK.format(kind)
    argv = st.tuples(NAMES, st.sampled_from(operations), st.sampled_from(["begin", "end", "", "-"]))
    return st.tuples(argv.map(lambda words: [program, *words, "-"]), st.one_of(xml(), st.binary(max_size=200)))


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Lab() as lab:
        apply(lab.host, FILE)
        lab.host.run([QEMU_HOOK, "x", "start", "begin", "-"], input="<domain/>")
        lab.host.shell("mkdir -p /var/log/guestnet; touch /var/log/guestnet/hook.log")
        yield lab.host


def run(host: Host, cases: list[Case]) -> None:
    before = host.shell(SEEN).stdout
    given = json.dumps([[argv, base64.b64encode(data).decode()] for argv, data in cases])
    done = json.loads(host.run(["python3", "-c", RUNS], input=given, timeout=120).stdout)
    assert done == [[0, "", ""]] * len(cases)
    assert host.shell(SEEN).stdout == before
    log = host.read("/var/log/guestnet/hook.log")
    assert "Traceback" not in log
    for line in log.splitlines():
        assert line[:4].isdecimal(), f"a name has forged a line: {line!r}"


@given(st.lists(st.one_of(case("qemu", QEMU), case("network", NETWORK)), min_size=12, max_size=12))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_names_and_xml(host: Host, cases: list[Case]) -> None:
    run(host, cases)


@pytest.mark.parametrize("given", WHOLE, ids=range(len(WHOLE)))
def test_xml_as_a_whole(host: Host, given: bytes) -> None:
    """Deep, long, of another encoding, with entities that grow or lead to files."""
    asked = [("qemu", "prepare"), ("qemu", "start"), *(("network", operation) for operation in NETWORK)]
    run(host, [([HOOK.format(kind), "unknown", operation, "begin", "-"], given) for kind, operation in asked])


def test_an_environment_of_others(host: Host) -> None:
    """Nothing of it is used: neither for programs, nor for Python's modules."""
    evil = "#!/bin/sh\ntouch /run/made\n"
    for name in ("nft", "iptables", "ip", "python3"):
        host.write(f"/run/evil/{name}", evil, mode=0o755)
    host.write("/run/evil/hook.py", "open('/run/made', 'w')\n")
    host.write("/run/evil/sitecustomize.py", "open('/run/made', 'w')\n")
    names = "PATH PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONPYCACHEPREFIX BASH_ENV ENV IFS"
    variables = " ".join(f"{name}=/run/evil" for name in names.split())
    start = f"cd /run/evil; echo '<domain/>' | /usr/bin/env -i {variables} {QEMU_HOOK} web1"
    host.shell(f"{start} started begin -")
    assert "192.168.84.10" in host.run(["nft", "list", "map", "inet", "guestnet", "any4"]).stdout
    host.shell(f"{start} stopped end -; rm -r /run/evil")
    assert "192.168.84.10" not in host.run(["nft", "list", "map", "inet", "guestnet", "any4"]).stdout
    assert not host.exists("/run/made")


@pytest.mark.parametrize(
    "change",
    [
        "chmod 777 /var/lib/guestnet/compiled",
        "chown 65534 /var/lib/guestnet/compiled/table.nft",
        "chmod 666 /var/lib/guestnet/compiled/guests/web1",
    ],
)
def test_what_others_may_write_is_not_used(host: Host, change: str) -> None:
    """Nor read by apply, which names it and what to do."""
    path = change.rpartition(" ")[2]
    host.shell(change)
    host.run([QEMU_HOOK, "web1", "started", "begin", "-"], input="<domain/>")
    assert f"others than root may write {path}" in host.read("/var/log/guestnet/hook.log")
    assert "192.168.84.10" not in host.run(["nft", "list", "map", "inet", "guestnet", "any4"]).stdout
    done = host.guestnet("plan", check=False)
    assert done.returncode == 1
    assert "that is as much as being root" in done.stderr
    todo = done.stderr.partition("(")[2].partition(",")[0].partition(")")[0]
    host.shell(todo)
    host.run([QEMU_HOOK, "web1", "started", "begin", "-"], input="<domain/>")
    assert "192.168.84.10" in host.run(["nft", "list", "map", "inet", "guestnet", "any4"]).stdout
    host.run([QEMU_HOOK, "web1", "stopped", "end", "-"], input="<domain/>")


def test_a_program_that_others_may_write_is_not_run(host: Host) -> None:
    host.shell("chmod 666 /var/lib/guestnet/hook.py")
    done = host.run([QEMU_HOOK, "web1", "started", "begin", "-"], input="<domain/>")
    assert "others than root may write /var/lib/guestnet/hook.py" in done.stderr
    host.shell("chmod 644 /var/lib/guestnet/hook.py")
