"""The check that nothing of the machine's own network changes can fail: shown in a network namespace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab import machine

SCRIPT = """
import json, subprocess
from lab import machine
before = machine.snapshot()
{change}
print(json.dumps(machine.differences(before, machine.snapshot())))
"""


@pytest.mark.lab
@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ("subprocess.run(['ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1'])", "ip -d link"),
        ("subprocess.run(['ip', 'addr', 'add', '192.0.2.9/32', 'dev', 'lo'])", "ip addr"),
        ("subprocess.run(['nft', 'add', 'table', 'inet', 'x'])", "nft ruleset"),
        ("open('/proc/sys/net/ipv4/ip_forward', 'w').write('1')", "sysctl ipv4/ip_forward"),
        ("pass", ""),
    ],
    ids=["link", "address", "rules", "sysctl", "nothing"],
)
def test_each_change_is_seen(change: str, seen: str, repo: Path) -> None:
    command = [
        "unshare",
        "--net",
        "--mount",
        "sh",
        "-c",
        'mount -t sysfs s /sys; exec "$@"',
        "sh",
        sys.executable,
        "-c",
    ]
    done = subprocess.run(
        [*command, SCRIPT.format(change=change)], cwd=repo, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert any(line.startswith(seen) for line in found) if seen else found == []


def test_a_new_sysctl_comes_with_a_module() -> None:
    assert machine.differences({}, {"sysctl bridge/x": "1"}) == []
    assert machine.differences({"sysctl bridge/x": "1"}, {}) != []
