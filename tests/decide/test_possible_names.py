"""Which names a step in the journal can have: all that guestnet gives, and no path of anybody else's."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from guestnet.act.journal import DamagedError, Head, left, point
from guestnet.compile import dhcp, hookdata, hookfront, loopback, ndp, unit
from guestnet.compile import sysctl as sysctl_file
from guestnet.decide.desired import ADMIT_FILE, HOOKS, MEMORY, accept_ra, localnet, proxy_arp, proxy_ndp
from guestnet.decide.names import possible
from guestnet.decide.prefer.record import path_of
from guestnet.decide.routers import FORWARDING
from guestnet.decide.state import APPLIED, KINDS, SOURCE, Key

GUEST = "a/../b ü.'$"
GIVEN = {
    "memory": [MEMORY, APPLIED, SOURCE, path_of(GUEST)],
    "sysctl.d": [sysctl_file.FILE],
    "setting": [*FORWARDING, accept_ra("eth0.5"), proxy_ndp("all"), proxy_arp("br-lan")],
    "localnet": [localnet("virbr0")],
    "folder": [dhcp.hosts_folder("läb.1")],
    "reservation": [f"{dhcp.hosts_folder('lab')}/{dhcp.file_name(GUEST)}"],
    "hookdata": [
        hookdata.TABLE_FILE,
        hookdata.BRIDGES,
        hookdata.LET_IN,
        ADMIT_FILE,
        ndp.FILE,
        f"{hookdata.FOLDER}/{loopback.LOCALNETS}",
        f"{hookdata.GUESTS}/{dhcp.file_name(GUEST)}",
        f"{hookdata.NOW}/web1",
    ],
    "program": [hookfront.PROGRAM],
    "hook": [*HOOKS],
    "table": ["guestnet"],
    "bridge": ["br0"],
    "network": ["my net.1"],
    "ndp": ["2001:db8::5 dev up0"],
    "admit": ["iptables", "ip6tables", "inet filter forward"],
    "proxy": ["guestnet-loopback-80"],
    "unit": [unit.NAME],
    "prefer": [GUEST],
}


def test_all_that_guestnet_gives() -> None:
    assert {*GIVEN} | {"link", "completion"} == {*KINDS}, "those two are setup's, which has no journal"
    wrong = [(kind, name) for kind, names in GIVEN.items() for name in names if not possible(Key(kind, name))]
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_path_of_others(kind: str) -> None:
    paths = ["/etc/cron.d/x", "../../etc/cron.d/x", "/var/lib/guestnet/x", ""]
    paths += [name.rpartition("/")[0] + end for name in GIVEN.get(kind, ()) if "/" in name for end in ("/../x", "/..")]
    assert [path for path in paths if possible(Key(kind, path)) and kind != "prefer"] == []
    assert not possible(Key(kind, GIVEN[kind][0] + "\0") if kind in GIVEN else Key(kind, "/usr/local/bin/x"))


@pytest.mark.parametrize(
    ("kind", "name"),
    [("memory", "/etc/cron.d/x"), ("setting", "../../etc/cron.d/x"), ("hook", "/etc/x"), ("link", "/usr/bin/x")],
)
def test_a_journal_with_one_is_damaged(tmp_path: Path, kind: str, name: str) -> None:
    """Nothing of it is done."""
    values = {"setting": {"value": "x"}, "link": {"target": "x"}}.get(kind, {"text": "x"})
    step = {"kind": kind, "name": name, "before": values, "after": None}
    path = tmp_path / "journal"
    lines = [{"guestnet journal": 2, **asdict(Head("apply"))}, step, {"end": 1}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for read in (left, point):
        with pytest.raises(DamagedError):
            read(path)
