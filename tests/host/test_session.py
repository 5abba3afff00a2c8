"""The SSH session we are run from, also through sudo, which takes the variable away; and those that there are."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from guestnet.host.session import multiplexed, session

ASK = "from guestnet.host.session import session; found = session()"
ASK += "; print(found and f'{found.client} {found.address} {found.port}')"
BELOW = [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ASK!r}], env={{}})"]


def asked(value: str | None, *argv: str) -> str:
    plain = {name: text for name, text in os.environ.items() if name != "SSH_CONNECTION"}
    env = plain if value is None else plain | {"SSH_CONNECTION": value}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("argv", [[sys.executable, "-c", ASK], BELOW], ids=["directly", "through sudo"])
def test_found(argv: list[str]) -> None:
    assert asked("198.51.100.7 51234 203.0.113.2 22", *argv) == "198.51.100.7 203.0.113.2 22"
    assert asked("fe80::2%eth0 51234 fe80::1%eth0 2222", *argv) == "fe80::2 fe80::1 2222"


@pytest.mark.parametrize(
    "value", ["", "nonsense", "1 2 3", "a b c d", "198.51.100.7 1 203.0.113.2 x", "x 1 203.0.113.2 22"]
)
def test_what_is_none(value: str) -> None:
    if session() is None:  # else these tests are run from one themselves, which is found above
        assert asked(value, sys.executable, "-c", ASK) == "None"


# In a network namespace of its own, with an address that is not loopback. What sshd does there is done by processes
# with its titles: who is logged in, who is not yet, and a server of another kind; each takes one client.
SERVER = """
import os, socket, sys
one = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
print("listens", flush=True)
taken, _ = one.accept()
out = socket.create_connection(("203.0.113.9", int(sys.argv[1])))  # as sshd does for ssh -L
print("taken", flush=True)
sys.stdin.read()
"""
ALL = """
import os, socket, subprocess, sys
server = sys.argv[1]
here = "203.0.113.2"
up = "ip link set lo up; ip addr add 203.0.113.2/32 dev lo; ip addr add 203.0.113.9/32 dev lo"
subprocess.run(up, shell=True, check=True)
ends = []
titles = {22: "sshd: alice@pts/0", 2222: "sshd-session: root@notty", 23: "sshd: bob [net]", 80: "nginx: w@x"}
for port, title in titles.items():
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    it = subprocess.Popen([title, "-c", server, str(port)], executable=sys.executable, **pipes)
    assert it.stdout.readline() == "listens\\n"
    ends.append(socket.create_connection((here, port), source_address=("203.0.113.9", 0)))
    assert it.stdout.readline() == "taken\\n"
from guestnet.host.session import sessions
for one in sessions():
    print(one.client, one.address, one.port)
"""


def test_who_is_logged_in() -> None:
    found = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", ALL, SERVER], capture_output=True, text=True, check=True, timeout=30
    )
    assert sorted(found.stdout.splitlines()) == ["203.0.113.9 203.0.113.2 22", "203.0.113.9 203.0.113.2 2222"]


@pytest.mark.parametrize(("name", "is_one"), [("tmux: server", True), ("SCREEN", True), ("bash", False)])
def test_in_tmux_or_screen(name: str, is_one: bool) -> None:
    """A process above with its name, as the kernel has it."""
    ask = "from guestnet.host.session import multiplexed; print(multiplexed())"
    above = f"import subprocess, sys; open('/proc/self/comm', 'w').write({name!r})"
    above += f"; subprocess.run([sys.executable, '-c', {ask!r}], check=True)"
    done = subprocess.run([sys.executable, "-c", above], capture_output=True, text=True, check=True)
    if not multiplexed():  # else these tests are run in one themselves
        assert done.stdout == f"{is_one}\n"
