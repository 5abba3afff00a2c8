"""Whatever a feature does for IPv4 it does for IPv6. The tables are computed: what each key of the goldens changes, by
family, and what the matrix says. A hole fails; so does an exception that no longer is one."""

from __future__ import annotations

import copy
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_interface
from typing import Any

import pytest

from guestnet.compile import hookdata, loopback
from guestnet.decide.desired import settings
from guestnet.decide.facts import Facts, Uplink
from guestnet.decide.reach import Cell, predict
from guestnet.faces.texts import dhcp_text, nft_text, xml_text
from guestnet.spec.document import load
from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.models import Inbound, Side4, Side6
from guestnet.spec.resolve import Taken, resolve
from guestnet.spec.world import World
from guestnet.words.problems import GuestnetError
from tests.compile.test_golden import CASES, models

FACTS = Facts("kvm1", "9.0.0", uplinks=(Uplink("enp6s0", (4, 6), kernel_ra=True),), learning=("enp6s0",))
FACTS = replace(FACTS, settings={"net/ipv6/conf/enp6s0/accept_ra": "1"})

# keys

Path = tuple[str, ...]
ONE_FAMILY = {
    ("networks", "*", "nat"): "it holds nat.ipv6; its ports are of both, in libvirt's own XML",
    ("networks", "*", "nat", "ipv6"): "NAT44 is what mode nat is",
    (
        "networks",
        "*",
        "ipv6",
        "prefix",
    ): "IPv4's addresses are too few for guests to have one each; a forward takes one",
    ("networks", "*", "ipv6", "ndp_proxy"): "for IPv4 it is proxy_arp",
    ("networks", "*", "proxy_arp"): "ARP is IPv4's; IPv6 has NDP",
    ("guests", "*", "nics", "mac"): "by SLAAC it makes an IPv6 address",
}
OUTSIDE = (("ipv6", "prefix"), ("ipv6", "ndp_proxy"))
SIDES = {"ipv4": "ipv6", "ipv6": "ipv4"}
_FOUR = re.compile(r"\d+\.\d+\.\d+\.\d+|\bip\b|[a-z]4\b|ipv4|^v4 ")
_SIX = re.compile(r"[0-9a-f]{0,4}:[0-9a-f:]*:|\bip6\b|[a-z]6\b|ipv6|^v6 ")
_NEITHER = re.compile(r"([0-9a-f]{2}[:-]){5}[0-9a-f]{2}|virbr\d+|vnet\d+")  # MACs, and links


def made(data: Any) -> World:
    """Raises ProblemsError where the file is none without what was taken away."""
    chance = random.Random(7)  # noqa: S311  the same each time
    return resolve(load_spec(json.dumps(data), "x.yaml"), Memory(), random=chance, taken=Taken(), macs={})[0]


def tokens(data: Any) -> Counter[str]:
    """All that comes of a file, in words; one for each cell of the matrix."""
    world = made(data)
    texts = [xml_text(world), nft_text(world), dhcp_text(world), *(hookdata.guest_file(one) for one in world.guests)]
    texts += [*settings(world, FACTS, Memory()), *(text for unit in loopback.units(world).values() for text in unit)]
    found = Counter(word for text in texts for word in re.split(r"[\s,;'\"<>=\[\]]+", text))
    found.update(f"v{cell.family} {cell.source} {cell.target} {cell.verdict}" for cell in predict(world, FACTS))
    return found


def families(words: Counter[str]) -> frozenset[int]:
    bare = [_NEITHER.sub("", word) for word in words]
    found = {4 for word in bare if _FOUR.search(word)} | {6 for word in bare if _SIX.search(word)}
    return frozenset(found)


def keys(data: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inside:
        if isinstance(key, str):
            yield (*above, key)
        yield from keys(value, (*above, key))


def normal(path: tuple[str | int, ...]) -> Path:
    """Without the names that people give, and places in lists."""
    named = [str(key) if i != 1 else "*" for i, key in enumerate(path) if not isinstance(key, int)]
    return tuple("*" if i and named[i - 1] == "hosts" else key for i, key in enumerate(named))


def without(data: Any, path: tuple[str | int, ...]) -> Any:
    less = copy.deepcopy(data)
    inside = less
    for key in path[:-1]:
        inside = inside[key]
    del inside[path[-1]]
    return less


@pytest.fixture(scope="module")
def table() -> dict[Path, frozenset[int]]:
    """Each key of the goldens, and the families in which something comes of it."""
    found: dict[Path, set[int]] = defaultdict(set)
    for case in CASES:
        data = load((case / "spec.yaml").read_bytes(), "x").data
        whole = tokens(data)
        for path in keys(data):
            if len(path) < 3:
                continue
            try:
                less = tokens(without(data, path))
            except GuestnetError:
                found[normal(path)] |= set()  # it cannot be left out
                continue
            found[normal(path)] |= families((whole - less) + (less - whole))
    return {path: frozenset(its) for path, its in found.items()}


def test_what_a_key_does_it_does_in_both_families(table: dict[Path, frozenset[int]]) -> None:
    lone = {path: its for path, its in table.items() if len(its) == 1 and not set(path) & set(SIDES)}
    lone |= {path: its for path, its in table.items() if path[-2:] in (("nat", "ipv6"), *OUTSIDE)}
    holes = {path: its for path, its in lone.items() if path not in ONE_FAMILY}
    assert holes == {}, "a golden shows each in one family only: is the other missing there, or in the product?"
    assert [path for path in ONE_FAMILY if path not in lone] == [], "no exceptions any more"


def test_what_is_said_of_one_family_is_said_of_the_other(table: dict[Path, frozenset[int]]) -> None:
    """Keys of one family have their neighbour: in the models, and in a golden."""
    alone = [path for path in table if set(path) & set(SIDES) and path not in ONE_FAMILY and _other(path) not in table]
    assert alone == [], "no golden has the same key of the other family"
    both = {"ipv4", "ipv6"}
    lone = [model.__name__ for model in models() if len(both & set(model.model_fields)) == 1]
    assert lone == ["Nat"]
    assert Side4.model_fields.keys() == Side6.model_fields.keys() - {key for _, key in OUTSIDE}
    assert set(Inbound.model_fields) == both


def _other(path: Path) -> Path:
    return tuple(SIDES.get(key, key) for key in path)


def test_the_table_sees_what_is_there(table: dict[Path, frozenset[int]]) -> None:
    assert table["guests", "*", "forwards"] == {4, 6}
    assert table["networks", "*", "mtu"] == frozenset()
    assert table["networks", "*", "ipv6", "lease"] <= {6}


# the matrix

_ADDRESS = re.compile(r"[0-9a-f]*:[0-9a-f:]+(/\d+)?|\d+\.\d+\.\d+\.\d+(/\d+)?")


def reasons(family: int) -> set[tuple[str, str]]:
    """Of all cells of all goldens, on several hosts, without what is of a family in the words."""
    addresses = (("enp6s0", ip_interface("192.168.1.2/24")), ("enp6s0", ip_interface("fd00:1::2/64")))
    public = (("enp6s0", ip_interface("203.0.113.2/24")), ("enp6s0", ip_interface("2001:db8:1::2/64")))
    none = replace(FACTS, uplinks=(Uplink("enp6s0", (10 - family,), kernel_ra=False),))
    hosts = (replace(FACTS, addresses=addresses), replace(FACTS, addresses=public), none)
    worlds = [made(load((case / "spec.yaml").read_bytes(), "x").data) for case in CASES]
    return {
        (cell.verdict, _bare(cell))
        for world in worlds
        for host in hosts
        for cell in predict(world, host)
        if cell.family == family
    }


def _bare(cell: Cell) -> str:
    if cell.verdict == "forwards":
        return "only by forwards"
    text = re.sub(r", but not .*: egress", ", but: egress", cell.reason)
    text = _ADDRESS.sub("X", text).replace("NAT44", "NAT").replace("NAT66", "NAT")
    text = re.sub(r"^\w+ (is isolated|is open|forwards|takes)", r"N \1", text)
    return re.sub(r"IPv[46]", "IP", re.sub(r"egress of \w+", "egress of N", text))


def test_the_matrix_gives_the_same_reasons_in_both_families() -> None:
    of_the_prefix = {
        one for one in reasons(6) if "NDP proxy" in one[1] or "prefix NAT" in one[1] or "answers" in one[1]
    }
    assert len(of_the_prefix) == 3
    assert reasons(4) == reasons(6) - of_the_prefix
    assert len(reasons(4)) > 20, "all that can be said of a cell, and of none on the LAN"


# guests


def test_a_guest_has_an_address_in_each_family_of_its_network() -> None:
    """Where one is known at all: with neither DHCP nor a MAC nobody knows it."""
    alone = []
    for case in CASES:
        world = made(load((case / "spec.yaml").read_bytes(), "x").data)
        networks = {network.name: network for network in world.networks}
        for guest in world.guests:
            for nic in guest.nics:
                network = networks.get(nic.network)
                if network and network.v4 and network.v6 and nic.mac and (nic.ipv4 is None) != (nic.ipv6 is None):
                    alone.append(f"{case.name}: {guest.name} in {nic.network}")
    assert alone == ["095-both-families: alone in lab"], "DHCP is off there, and IPv4 has no SLAAC"
