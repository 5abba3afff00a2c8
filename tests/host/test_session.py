"""The SSH session we are run from, also through sudo, which takes the variable away."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from guestnet.host.session import session

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
