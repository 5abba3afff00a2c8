"""`forward add` and `remove`: the file edited, the host changed at once; both as they were when that fails."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import Lab
from lab.fake import Static
from lab.host import GUESTNET
from lab.namespace import Namespace
from lab.process import wait_for
from tests.live.conftest import FILE, MAC, apply, elements

pytestmark = pytest.mark.lab

TEXT = """\
# the lab's own
networks:
  lab: {mode: nat, bridge: virbr84, stp: false, ipv4: 192.168.84.1/24, ipv6: "fd00:84:0:1::1/64"}

guests:
  web1:                      # a domain
    network: lab
    mac: 52:54:00:12:34:56
    ipv4: 192.168.84.10
    ipv6: ::10
    forwards:
      - 4023:22              # ssh

  db: {network: lab, ipv4: 192.168.84.11}  # off
"""
HOST = {4: "203.0.113.2", 6: "2001:db8:1::2"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """The domain runs for the hook; a fake guest with the MAC of the file answers in its place."""
    with Lab() as lab:
        apply(lab.host, TEXT)
        lab.host.libvirtd.restart()
        lab.host.define_guest("web1", "lab", "52:54:00:99:99:99").start()
        wait_for("the forwards", lambda: "4023" in elements(lab.host))
        fakes = {"web1": lab.host.fake_guest("web1", "virbr84", mac=MAC)}
        fakes["db"] = lab.host.fake_guest("db", "virbr84", plug=Static("192.168.84.11/24", None, "192.168.84.1"))
        for fake in fakes.values():
            fake.wait_addresses(v6=fake.name != "db")
            serve(fake, 9000)
        serve(lab.host, 2222)  # the host's own service
        assert "Nothing to do" in apply(lab.host)
        yield lab


SERVES = """
import socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(100):
            self.request.sendall(data)
socketserver.ThreadingTCPServer(("", int(sys.argv[1])), Echo).serve_forever()
"""


def serve(place: Namespace, port: int) -> None:
    """A service that gives back what it gets, for as long as a connection lasts."""
    place.popen(["/usr/bin/python3", "-c", SERVES, str(port)])
    wait_for("the service", lambda: f":{port}" in place.run(["ss", "-ltn"]).stdout)


@pytest.fixture(autouse=True)
def as_the_file_says(lab: Lab) -> Iterator[None]:
    yield
    if lab.host.read(FILE) != TEXT:
        apply(lab.host, TEXT)


def answers(lab: Lab, port: int, protocol: str = "tcp") -> list[str]:
    return [
        got.text.split()[2] if got.kind == "answered" else got.kind
        for got in (lab.inet.probe(protocol, host, port) for host in HOST.values())
    ]


def forward(lab: Lab, *words: str, code: int = 0) -> str:
    done = lab.host.guestnet("forward", *words, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    return said


def test_added_and_removed_at_once(lab: Lab) -> None:
    lab.host.run(["chmod", "0640", FILE])
    lab.host.run(["chown", "0:1000", FILE])
    assert answers(lab, 4080) == ["refused", "refused"]
    said = forward(lab, "add", "web1", "4080:80", "--description", "the web")
    assert "added to web1: 4080:80, in force" in said
    assert answers(lab, 4080) == ["80", "80"]
    line = "      - {ports: 4080, to: 80, description: the web}\n"
    assert lab.host.read(FILE) == TEXT.replace("# ssh\n", "# ssh\n" + line)
    assert "Nothing to do" in apply(lab.host)
    assert "removed from web1: 4080:80" in forward(lab, "remove", "web1", "4080/tcp")
    assert answers(lab, 4080) == ["refused", "refused"]
    assert lab.host.read(FILE) == TEXT
    assert lab.host.run(["stat", "-c", "%a %u %g", FILE]).stdout == "640 0 1000\n"
    assert "Nothing to do" in apply(lab.host)


def test_from_and_a_guest_that_is_off(lab: Lab) -> None:
    said = forward(lab, "add", "db", "6000", "--from", "203.0.113.9")
    assert "added to db: 6000 from 203.0.113.9, in force when db runs" in said
    assert "ipv4: 192.168.84.11, forwards: [{ports: 6000, from: [203.0.113.9]}]} " in lab.host.read(FILE)
    assert "6000" not in elements(lab.host)
    printed = forward(lab, "list", "db").splitlines()[1].split("  ")[0]
    assert "removed from db: 6000 from 203.0.113.9" in forward(lab, "remove", "db", printed)
    assert "ipv4: 192.168.84.11, forwards: []} " in lab.host.read(FILE)


def test_list(lab: Lab) -> None:
    """Counts are there after connections, by the host's address; what is not as it should be is named."""
    lab.host.shell("ip addr add 203.0.113.7/24 dev up0")
    try:
        forward(lab, "add", "web1", "203.0.113.7:4023:80")
        forward(lab, "add", "web1", "4030-4031:80-81/tcp+udp")
        forward(lab, "add", "db", "6000", "--from", "203.0.113.9")
        before = {key: (one["connections"], one["bytes"]) for key, one in listing(lab).items()}
        for host, port in (*((host, 4023) for host in HOST.values()), ("203.0.113.7", 4023), (HOST[4], 4030)):
            assert lab.inet.probe("tcp", host, port).answered
        found = listing(lab)
        grown = {
            key: (one["connections"] - before[key][0], one["bytes"] - before[key][1]) for key, one in found.items()
        }
        assert {key: connections for key, (connections, _) in grown.items()} == {
            ("any", "4023"): 2, ("203.0.113.7", "4023"): 1, ("any", "4030-4031"): 1, ("any", "6000"): 0
        }  # fmt: skip
        # Each connection: its SYN, 60 bytes or 80, and the line that the guest says; what has no data is not counted.
        assert all((passed > connections * (60 + 52)) == (connections > 0) for connections, passed in grown.values())
        assert [one["state"] for one in found.values()] == ["guest off", "active", "active", "active"]
        assert forward(lab, "list", "db").splitlines()[1].split() == (
            ["6000/tcp", "from", "203.0.113.9", "db:6000", "v4", "guest", "off", "0", "0", "B"]
        )
        lab.host.run(["nft", "delete element inet guestnet any4 { udp . 4031 }"])
        lab.host.run(["nft", "add element inet guestnet any4 { tcp . 6000 : 192.168.84.10 . 22 }"])
        said = [" ".join(line.split()) for line in forward(lab, "list").splitlines()]
        assert any(line.startswith("4030-4031/tcp+udp web1:80-81 v4 v6 drift: partly missing ") for line in said)
        assert any(line.startswith("6000/tcp web1:22 v4 drift: left over ") for line in said)
        assert said == [" ".join(line.split()) for line in forward(lab, "list").splitlines()]
        status = " ".join(lab.host.guestnet("status").stdout.split())
        assert "4030-4031/tcp+udp -> web1:80-81 drift: partly missing v4 v6 1 connection " in status
    finally:
        lab.host.shell("ip addr del 203.0.113.7/24 dev up0")


def listing(lab: Lab) -> dict[tuple[str, str], Any]:
    data = json.loads(lab.host.guestnet("forward", "list", "--format", "json").stdout)
    return {(one["listen"][0], one["ports"]): one for one in data["forwards"]}


KEEPS_SENDING = """
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
link = socket.socket(family, socket.SOCK_DGRAM)
link.bind(("", 5555))
link.settimeout(0.5)
for number in range(60):
    link.sendto(b"hello\\n", (sys.argv[1], int(sys.argv[2])))
    start = time.monotonic()
    try:
        print(link.recv(200).decode().strip(), flush=True)
    except OSError:
        pass
    time.sleep(max(0, start + 0.5 - time.monotonic()))
"""


@pytest.mark.parametrize("host", HOST.values())
def test_a_udp_client_that_keeps_sending_reaches_the_guest(lab: Lab, host: str) -> None:
    """Its packets belong to a connection that was tracked before the forward came."""
    client = lab.inet.popen(["/usr/bin/python3", "-c", KEEPS_SENDING, host, "4500"])
    other = lab.inet.popen(["/usr/bin/python3", "-c", KEEPS_SENDING.replace("5555", "5556"), host, "4501"])
    tracked = ["conntrack", "-L", "-f", "ipv6" if ":" in host else "ipv4", "-p", "udp", "--orig-port-dst"]
    wait_for("the clients", lambda: all(lab.host.run([*tracked, port]).stdout for port in ("4500", "4501")))
    try:
        forward(lab, "add", "web1", "4500:80/udp")
        assert client.stdout is not None
        start = time.monotonic()
        assert client.stdout.readline().startswith("web1 udp 80 from ")
        assert time.monotonic() - start < 1.5
        assert "dport=4501" in lab.host.run([*tracked, "4501"]).stdout, "another port's entry stays"
        forward(lab, "remove", "web1", "4500/udp")
        assert "192.168.84.10" not in lab.host.run([*tracked, "4500"]).stdout
    finally:
        client.kill()
        other.kill()


@pytest.mark.parametrize("host", HOST.values())
def test_a_udp_client_that_keeps_sending_reaches_a_guest_that_starts(lab: Lab, host: str) -> None:
    forward(lab, "add", "web1", "4500:80/udp")
    lab.host.virsh("destroy", "web1")
    client = lab.inet.popen(["/usr/bin/python3", "-c", KEEPS_SENDING, host, "4500"])
    other = lab.inet.popen(["/usr/bin/python3", "-c", KEEPS_SENDING.replace("5555", "5556"), host, "4501"])
    tracked = ["conntrack", "-L", "-f", "ipv6" if ":" in host else "ipv4", "-p", "udp", "--orig-port-dst"]
    try:
        wait_for("the clients", lambda: all(lab.host.run([*tracked, port]).stdout for port in ("4500", "4501")))
        entry = lab.host.run([*tracked, "4501", "-o", "id"]).stdout.partition("id=")[2]
        lab.host.virsh("start", "web1")
        assert client.stdout is not None
        start = time.monotonic()
        assert client.stdout.readline().startswith("web1 udp 80 from ")
        assert time.monotonic() - start < 1.5
        assert lab.host.run([*tracked, "4501", "-o", "id"]).stdout.partition("id=")[2] == entry != ""
        assert not lab.host.exists("/var/log/guestnet/hook.log")
    finally:
        client.kill()
        other.kill()


CONNECTIONS = """
import socket, sys
links = [socket.create_connection((sys.argv[1], int(port)), timeout=2) for port in sys.argv[2:]]
for line in sys.stdin:
    found = []
    for link in links:
        try:
            link.sendall(b"x")
            found.append(str(len(link.recv(1))))
        except OSError as error:
            found.append(type(error).__name__)
    print(*found, flush=True)
"""


def test_connections_by_a_removed_forward_are_cut_and_no_others(lab: Lab) -> None:
    lab.host.define_guest("db", "lab", memory=16)
    lab.host.virsh("start", "db", "--paused")
    try:
        for guest, port in (("web1", "4600"), ("web1", "4601"), ("db", "4602")):
            forward(lab, "add", guest, f"{port}:9000")
        argv = ["/usr/bin/python3", "-c", CONNECTIONS, HOST[4], "4600", "4601", "4602", "2222"]
        client = lab.inet.popen(argv, stdin=subprocess.PIPE)
        assert client.stdin is not None
        assert client.stdout is not None

        def again() -> str:
            print(file=client.stdin, flush=True)
            return str(client.stdout and client.stdout.readline()).strip()

        assert again() == "1 1 1 1"
        forward(lab, "add", "web1", "4603:9000")
        assert again() == "1 1 1 1", "what comes cuts nothing"
        forward(lab, "remove", "web1", "4600")
        assert again() == "ConnectionResetError 1 1 1"
        apply(lab.host, TEXT.replace("db: {network: lab,", "db: {network: lab, forwards: [4602:9000],"))
        assert again().split()[1:] == ["ConnectionResetError", "1", "1"]
        client.kill()
    finally:
        lab.host.virsh("destroy", "db")
        lab.host.virsh("undefine", "db")


def test_through_a_link(lab: Lab) -> None:
    lab.host.shell("mv /etc/guestnet/guestnet.yaml /run/real.yaml; ln -s /run/real.yaml /etc/guestnet/guestnet.yaml")
    try:
        forward(lab, "add", "web1", "4081:80")
        assert lab.host.run(["readlink", FILE]).stdout == "/run/real.yaml\n"
        assert "4081:80" in lab.host.read("/run/real.yaml")
        forward(lab, "remove", "web1", "4081", "-f", "/run/real.yaml")
    finally:
        lab.host.shell("mv /run/real.yaml /etc/guestnet/guestnet.yaml")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("add", "web1", "4023:22"), "guest web1 has the forward 4023:22 already, at line 12"),
        (("add", "web1", "4023:80"), ":13:9: host port 4023/tcp is already forwarded to web1 at line 12"),
        (("add", "web2", "1"), "guest web2 is not in /etc/guestnet/guestnet.yaml (did you mean"),
        (("remove", "web1", "4024"), "guest web1 has no forward 4024 (it has 4023:22)"),
        (("list", "web2"), "guest web2 is not in the file as it was applied last (did you mean"),
        (("add", "web1", "2:3/sctp"), '"sctp" is not a protocol'),
        (("add", "web1", "1", "-f", "/none"), "there is no file /none"),
    ],
)
def test_refusals_touch_nothing(lab: Lab, words: tuple[str, ...], why: str) -> None:
    before = elements(lab.host)
    assert why in forward(lab, *words, code=1)
    assert lab.host.read(FILE) == TEXT
    assert elements(lab.host) == before


def test_a_file_that_can_not_be_written(lab: Lab) -> None:
    lab.host.shell("mkdir -p /run/ro; mount -t tmpfs -o mode=755 none /run/ro")
    lab.host.shell("cp -a /etc/guestnet/guestnet.yaml /run/ro/f.yaml")
    lab.host.shell("mount -o remount,ro /run/ro")
    try:
        said = forward(lab, "add", "web1", "4082", "-f", "/run/ro/f.yaml", code=1)
        assert "/run/ro/f.yaml can't be written: Read-only file system" in said
        assert "4082" not in elements(lab.host)
    finally:
        lab.host.run(["umount", "/run/ro"])


def test_it_asks_when_more_differs_from_the_file(lab: Lab) -> None:
    pending = TEXT.replace("  db:", "      - 4090:80\n  db:")
    lab.host.write(FILE, pending)
    said = forward(lab, "add", "web1", "4083:80", code=1)
    assert "there is no terminal to ask at" in said
    assert "+ forward 4090/tcp -> 80" in said
    assert lab.host.read(FILE) == pending
    forward(lab, "add", "web1", "4083:80", "--yes")
    assert answers(lab, 4083) == answers(lab, 4090) == ["80", "80"]


def nft(script: str) -> list[str]:
    """A prefix under which nft is a script, for the command behind it alone; the real one is /run/nft.real."""
    make = f"""
    cp $(readlink -f /usr/sbin/nft) /run/nft.real
    printf '%s' '#!/bin/sh
{script}' > /run/nft.other; chmod 755 /run/nft.other
    mount --bind /run/nft.other /usr/sbin/nft; exec "$@"
    """
    return ["unshare", "--mount", "sh", "-euc", make, "sh", str(GUESTNET)]


def test_a_failing_apply_leaves_file_and_host_as_they_were(lab: Lab) -> None:
    before = elements(lab.host)
    script = """
    if [ "$*" = "-f -" ]; then
        given=$(cat); case "$given" in *4084*) echo not today >&2; exit 1;; esac
        printf "%s\\n" "$given" | exec /run/nft.real -f -
    fi
    exec /run/nft.real "$@"
    """
    done = lab.host.run([*nft(script), "forward", "add", "web1", "4084:80"], check=False)
    assert done.returncode == 1
    assert "nft: not today" in done.stderr
    assert "The host is as it was before." in done.stderr
    assert lab.host.read(FILE) == TEXT
    assert elements(lab.host) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(lab: Lab, number: signal.Signals) -> None:
    """While nft waits: the host and the file are as they were."""
    before = elements(lab.host)
    script = """[ "$*" != "-f -" ] || sleep 2; exec /run/nft.real "$@" """
    program = lab.host.popen([*nft(script), "forward", "add", "web1", "4085:80"])
    wait_for("the edit", lambda: "4085" in lab.host.read(FILE))
    lab.host.send_signal(program, number)
    assert program.wait(timeout=30) == 130
    assert lab.host.read(FILE) == TEXT
    assert elements(lab.host) == before
    assert "Nothing to do" in apply(lab.host)


def test_changed_by_somebody_else_meanwhile(lab: Lab) -> None:
    """Theirs stays, whether it came before the edit or after it."""
    theirs = TEXT.replace("# off", "# theirs")
    script = f"""[ "$*" != "-f -" ] || sed -i "s/# off/# theirs/" {FILE}; exec /run/nft.real "$@" """
    done = lab.host.run([*nft(script), "forward", "add", "web1", "4086:80"], check=False)
    assert done.returncode == 1
    assert "was changed meanwhile by somebody else" in done.stderr
    assert lab.host.read(FILE) == theirs
    assert "4086" not in elements(lab.host)
