"""`plan` says which cells of the matrix the file flips, against what was applied last."""

from __future__ import annotations

import json

import pytest

from lab import Lab
from tests.live.conftest import FILE, apply

pytestmark = pytest.mark.lab

TEXT = """
networks:
  lab: {mode: nat, ipv4: 10.66.1.1/24, ipv6: "fd00:66:1::1/64"}
  dmz: {mode: routed, ipv4: 198.51.100.1/24, ipv6: none}
guests:
  web1: {network: lab, forwards: [{ports: 4023, to: 22, description: a}]}
"""


def test_flips() -> None:
    with Lab() as lab:
        host = lab.host
        host.write(FILE, TEXT)
        first = " ".join(host.guestnet("plan").stdout.split())
        assert "who can reach whom will change:" in first
        assert "lab -> internet v4 - -> yes v6 - -> yes" in first
        assert "internet -> web1 4023/tcp v4 no -> yes v6 no -> yes" in first
        apply(host)
        assert "who can reach whom" not in host.guestnet("plan").stdout
        assert "Nothing to do" in apply(host, TEXT.replace("description: a", "description: b"))

        host.write(FILE, TEXT.replace("ipv6: none}", "ipv6: none, inbound: closed}"))
        made = json.loads(host.guestnet("--format", "json", "plan").stdout)
        assert made["flips"] == [
            {"from": "internet", "to": "dmz", "family": "ipv4", "before": "yes", "after": "no"},
            {"from": "lab", "to": "dmz", "family": "ipv4", "before": "yes", "after": "no"},
        ]
        assert made["changes"], "a flip comes with what makes it"
        wider = TEXT.replace("description: a", "from: [198.51.100.0/24]").replace(
            "nat,", "nat, egress: {deny: [private]},"
        )
        host.write(FILE, wider)
        said = " ".join(host.guestnet("plan").stdout.split())
        assert "internet -> web1 4023/tcp v4 from anybody -> from 198.51.100.0/24 v6 yes -> no" in said
        assert "lab -> 10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, … (egress) v4 yes -> no" in said
        host.write(FILE, TEXT.replace("ipv6: none}", "ipv6: none, inbound: closed}"))

        host.write("/var/lib/guestnet/applied.json", "{}")
        assert "who can reach whom" in host.guestnet("plan").stdout, "damaged: as if nothing had been applied"
        host.write("/var/lib/guestnet/applied.json", "nonsense")
        plan = host.guestnet("plan").stdout
        assert "who can reach whom" not in plan
        assert "what the file said before is not known, so neither is which cells change" in plan
        assert json.loads(host.guestnet("--format", "json", "plan").stdout)["flips"] is None
        apply(host)
        assert "who can reach whom" not in host.guestnet("plan").stdout
        host.guestnet("destroy", "--yes")
        assert not host.exists("/var/lib/guestnet")
