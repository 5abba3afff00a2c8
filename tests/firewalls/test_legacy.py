"""The old iptables' own FORWARD, which no listing of nft and no trace shows: by packets, and by what is said of it."""

from __future__ import annotations

import pytest

from lab import Lab
from tests.firewalls.conftest import ALL, world
from tests.live.conftest import FILE

pytestmark = pytest.mark.lab


def test_a_policy_that_drops() -> None:
    with Lab() as lab:
        beside = world(lab)
        host = beside.host
        assert "legacy" not in beside.notes()
        assert not host.shell("cat /proc/net/ip*_tables_names").stdout.split(), "to look makes no table"
        host.shell("iptables-legacy -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP")
        assert beside.seen() == "in none, out none, dns all"
        assert "FORWARD of iptables-legacy drops by its policy" in beside.notes()
        done = host.guestnet("doctor", check=False)
        assert done.returncode == 1
        commands = [
            line.strip() for line in done.stdout.splitlines() if line.strip().startswith(("iptables-l", "ip6tables-l"))
        ]
        commands = [line for line in commands if " -I FORWARD " in line]
        assert len(commands) == 6, done.stdout
        for way in (("internet", "web1", "4080/tcp"), ("web1", "internet")):
            said = host.guestnet("why", *way, check=False).stdout
            words = " ".join(said.split())
            assert "FORWARD of iptables-legacy drops by its policy" in words, said
            assert "FORWARD of ip6tables-legacy drops by its policy" in words, said
            assert "it was passed on" not in words
            assert "it left the host" not in words
            assert "out:" not in words
        assert "legacy" not in host.guestnet("why", "host", "web1", "81", check=False).stdout, (
            "it does not pass FORWARD"
        )
        host.shell("\n".join(commands))
        beside.wait_seen(ALL)
        assert "legacy" not in beside.notes()
        host.shell("iptables-legacy -A FORWARD -s 192.0.2.0/24 -j DROP")
        assert "rules of iptables-legacy end packets" in beside.notes()
        host.write(FILE, "networks: {}\n")
        host.guestnet("apply", "--yes")
        assert "legacy" not in beside.notes()
