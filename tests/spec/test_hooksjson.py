"""From another hook's hooks.json to a first file: goldens, and that whatever goes in, what comes out passes check."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestnet.faces.texts import dhcp_text, nft_text, xml_text
from guestnet.spec.document import LARGEST
from guestnet.spec.hooksjson import forwards as ports
from guestnet.spec.hooksjson.convert import Converted, convert
from guestnet.spec.hooksjson.reader import read
from guestnet.spec.load import load_spec
from guestnet.spec.models import Spec
from guestnet.words.problems import GuestnetError, Problem, ProblemsError
from tests.worlds import drawn

GOLDEN = Path(__file__).parent.parent / "golden" / "300-hooks-json"
CASES = sorted(path.name for path in GOLDEN.iterdir())


def results(case: str) -> dict[str, str]:
    try:
        made = convert((GOLDEN / case / "hooks.json").read_bytes(), "hooks.json")
    except ProblemsError as error:
        return {"problems.txt": f"{error}\n"}
    notes = "".join(f"{note}\n" for note in made.notes)
    return {"guestnet.yaml": made.text, **({"notes.txt": notes} if notes else {})}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, golden_update: bool) -> None:
    folder = GOLDEN / case
    if golden_update:
        for old in ("guestnet.yaml", "notes.txt", "problems.txt"):
            (folder / old).unlink(missing_ok=True)
        for name, text in results(case).items():
            (folder / name).write_text(text, encoding="utf-8")
    on_disk = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.name != "hooks.json"}
    assert results(case) == on_disk


def made_of(**guests: object) -> Converted:
    return convert(json.dumps(guests), "f")


def spec_of(made: Converted) -> Spec:
    return load_spec(made.text, "made.yaml")


def rendered(made: Converted) -> str:
    world = drawn(spec_of(made))
    return xml_text(world) + nft_text(world) + dhcp_text(world)


def served(made: Converted) -> set[tuple[object, ...]]:
    """What the file forwards, port by port: guest, host's port, guest's port, protocol, family, listener, sources."""
    found: set[tuple[object, ...]] = set()
    spec = spec_of(made)
    for name, guest in spec.guests.items():
        for forward in guest.forwards:
            nic = guest.nic_of(forward)
            assert nic is not None
            network = spec.networks[nic.network]
            for listen in forward.listeners:
                families = {4: network.ipv4.address != "none", 6: network.ipv6.address != "none"}
                for family in (family for family, has in families.items() if has):
                    if forward.family not in ("both", f"ipv{family}"):
                        continue
                    if not isinstance(listen, str | None) and listen.version != family:
                        continue
                    sources = tuple(map(str, forward.admitted(family)))
                    for protocol in forward.protocol.split("+"):
                        for i in range(len(forward.ports)):
                            pair = forward.ports.first + i, forward.target.first + i
                            where = (protocol, family, str(listen), sources)
                            if sources:
                                found.add((name, *pair, *where))
    return found


def refused(source: bytes | str) -> str:
    with pytest.raises(ProblemsError) as raised:
        convert(source, "f")
    return str(raised.value)


def test_a_comment_in_a_text_is_text() -> None:
    root = read('{"a": "http://x /* y */ # z", "b\\"//": 1}', "f").root
    assert [(name, getattr(node, "value", None)) for name, _, node in root.items] == [
        ("a", "http://x /* y */ # z"),
        ('b"//', 1),
    ]


def test_places_count_lines_of_every_kind_and_tabs() -> None:
    root = read('{ /* one\r\ntwo */\t"a":\r\n\t[1,\n 2]}', "f").root
    assert [str(place) for _, place, _ in root.items] == ["f:2:8"]
    seq = root.items[0][2]
    assert [str(item.place) for item in getattr(seq, "items", ())] == ["f:3:3", "f:4:2"]


def test_wrong_encodings() -> None:
    assert refused(b'{\n "caf\xe9": 1}').startswith("f:2:6: byte 0xe9 is not UTF-8 (save the file as UTF-8)")
    assert refused('{"a": 1}'.encode("utf-16")).startswith("f:1:1: byte 0xff is not UTF-8")
    assert "no guest is in the file" in refused(b"\xef\xbb\xbf{}")
    assert "half a character" in refused('{"\\ud800": {}}')
    assert refused('{\u00a0"a": {}}').startswith("f:1:2: character U+00A0 cannot stand here (remove it)")


def test_ten_megabytes_are_refused_before_they_are_read() -> None:
    begin = time.monotonic()
    assert refused(b'{"a": 1}  ' * (1024 * 1024)).startswith("f:1:1: the file has more than 4 MB")
    assert time.monotonic() - begin < 1
    assert "more than 100,000 values" in refused('{"a": [' + "1," * (LARGEST // 2 - 10) + "]}")
    assert "more than 32 levels" in refused("[" * 3_000_000)
    begin = time.monotonic()
    assert "the file is empty" in refused("/**/" * (LARGEST // 4))
    assert "no guest is in the file" in refused("{" + "/**/" * (LARGEST // 4 - 1) + "}")
    assert time.monotonic() - begin < 30


def test_too_many_ports_are_refused_before_they_are_counted_out() -> None:
    ranges = [{"init_port": 1, "ports_num": 65535, "protocol": "tcp"}] * 9
    assert f"more than {ports.MOST_PORTS:,} ports" in refused(
        json.dumps({"a": {"private_ip": "10.0.0.2", "port_map": {}, "port_range": ranges}})
    )


def test_what_is_too_large_for_check_does_not_leave() -> None:
    guests = {f"g{i}": {"private_ip": f"10.{i // 250}.{i % 250}.5", "port_map": {"tcp": [i + 1]}} for i in range(8000)}
    with pytest.raises(GuestnetError, match="what came of f does not pass check: more than 100,000 values"):
        made_of(**guests)


def test_the_files_name_cannot_break_the_result() -> None:
    text = convert(
        '{"a": {"private_ip": "10.0.0.2", "icmp": 1, "port_map": {"tcp": [1]}}}', "x\nnetworks: {}\udcff"
    ).text
    assert "from x?networks: {}?." in text
    assert load_spec(text, "f").guests.keys() == {"a"}


@pytest.mark.parametrize(
    "name", ["a b", "yes", "10", "1.5", "null", "a: b", "#x", "-", "ä", "'", '"', "\u200b", "x" * 64]
)
def test_any_name_of_a_guest_comes_through(name: str) -> None:
    made = made_of(**{name: {"private_ip": "10.0.0.2", "port_map": {"tcp": [[1, 2]]}}})
    assert spec_of(made).guests.keys() == {name}


def test_it_does_what_the_hook_did_port_by_port() -> None:
    made = convert((GOLDEN / "030-both-families" / "hooks.json").read_bytes(), "f")
    everybody = {4: ("0.0.0.0/0",), 6: ("::/0",)}
    expected = {
        *(("both", 4022, 22, "tcp", family, "None", everybody[family]) for family in (4, 6)),
        *(
            ("both", 443, 443, proto, family, "None", everybody[family])
            for family in (4, 6)
            for proto in ("tcp", "udp")
        ),
        ("old", 4023, 22, "tcp", 4, "None", everybody[4]),
        *(("old", port, port, "tcp", 4, "None", everybody[4]) for port in (6000, 6001, 6002)),
        ("named", 8443, 8443, "tcp", 4, "198.18.0.4", everybody[4]),
        ("named", 8443, 8443, "tcp", 6, "2001:db8:9::4", everybody[6]),
        ("half-named", 9022, 22, "tcp", 4, "None", everybody[4]),
        ("half-named", 9022, 22, "tcp", 6, "2001:db8:9::5", everybody[6]),
        *(("nic", 9023, 22, "tcp", family, "enp6s0", everybody[family]) for family in (4, 6)),
        ("nic-and-address", 9024, 22, "tcp", 4, "198.18.0.4", everybody[4]),
        ("nic-and-address", 9024, 22, "tcp", 6, "enp6s0", everybody[6]),
    }
    assert served(made) == expected


def outcome(source: bytes | str) -> Converted | tuple[Problem, ...]:
    """What comes of anything: a file that passes check and renders, or problems that say where, what and what next."""
    try:
        made = convert(source, "f")
    except ProblemsError as error:
        for problem in error.problems:
            assert problem.place
            assert problem.what
            assert problem.todo
            assert "\n" not in str(problem)
        return error.problems
    assert rendered(made)
    return made


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes(source: bytes) -> None:
    outcome(source)


@given(st.text(alphabet="{}[]:,\"\\/*# \n\tab01-.eE'\ud800", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text(source: str) -> None:
    outcome(source)


# fmt: off
WORDS = [
    "interface", "private_ip", "private_ipv6", "public_ip", "public_ipv6", "public_interface", "source_ip",
    "source_ipv6", "port_map", "port_range", "tcp", "udp", "icmp", "init_port", "ports_num", "protocol", "web1", "x/y",
]
# fmt: on
LEAVES = st.one_of(
    st.sampled_from([*WORDS, "", "virbr0", "10.0.0.5", "fd00::5", "0.0.0.0/0", "10.0.0.0/33", "80", "any", "lo"]),
    st.integers(-1, 70000),
    st.floats(),
    st.booleans(),
    st.none(),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(["web1", "web2", ""]), TREES, max_size=3))
@settings(max_examples=300, deadline=None)
def test_any_shape(tree: object) -> None:
    outcome(json.dumps(tree))


def one_of(*values: object) -> st.SearchStrategy[object]:
    return st.sampled_from(values)


PORT = st.integers(1, 12) | st.integers(1, 65535)
PORT_LIST = st.lists(PORT | st.tuples(PORT, PORT), max_size=5)
ADDRESS4 = st.tuples(st.sampled_from(["10.0.0", "10.0.1", "10.9.0", "192.168.122"]), st.integers(1, 6)).map(
    lambda parts: f"{parts[0]}.{parts[1]}"
)
RANGE = st.fixed_dictionaries(
    {"init_port": st.integers(1, 30), "ports_num": st.integers(1, 40), "protocol": one_of("tcp", "udp", "icmp")}
)
ENTRY = st.fixed_dictionaries(
    {"private_ip": ADDRESS4, "port_map": st.dictionaries(st.sampled_from(["tcp", "udp", "icmp"]), PORT_LIST)},
    optional={
        "interface": one_of("virbr0", "virbr1", "br-x", "vnet0"),
        "private_ipv6": one_of("", "fd00::1", "fd00::2", "fd00:0:0:1::2"),
        "public_ip": one_of("203.0.113.1", "203.0.113.2", "127.0.0.1"),
        "public_ipv6": one_of("2001:db8::1", "2001:db8::2"),
        "public_interface": one_of("eth0", "eth1", "lo"),
        "source_ip": one_of("198.51.100.1", "198.51.100.0/24", "0.0.0.0/0", "192.0.2.1,192.0.2.9"),
        "source_ipv6": one_of("2001:db8:1::/48", "::/0"),
        "port_range": st.lists(RANGE, max_size=2),
    },
)
FILES = st.dictionaries(st.sampled_from(["a", "b", "c", "d 1"]), ENTRY | st.lists(ENTRY, max_size=3), min_size=1)


@given(FILES)
@settings(max_examples=400, deadline=None)
def test_any_file_of_the_hooks(file: dict[str, object]) -> None:
    outcome(json.dumps(file))


@given(ENTRY)
@settings(max_examples=150, deadline=None)
def test_one_guest_is_forwarded_what_the_hook_forwarded(entry: dict[str, object]) -> None:
    """Against a second reading of the hook, which knows nothing of ours. Where we leave something out, we say so."""
    made = outcome(json.dumps({"a": entry}))
    if not isinstance(made, Converted) or any("127.0.0.1" in note.what or "lo is" in note.what for note in made.notes):
        return
    assert {(*row[1:6],) for row in served(made)} == set(hooked(entry))


def hooked(entry: dict[str, object]) -> list[tuple[object, ...]]:
    """(host's port, guest's port, protocol, family, listener) of one entry."""
    rows: list[tuple[int, int, str]] = []
    port_map = entry["port_map"]
    assert isinstance(port_map, dict)
    for protocol, items in port_map.items():
        for item in items:
            host, guest = item if isinstance(item, tuple | list) else (item, item)
            rows.append((host, guest, protocol))
    ranges = entry.get("port_range", [])
    assert isinstance(ranges, list)
    for one in ranges:
        rows += [(one["init_port"] + i,) * 2 + (one["protocol"],) for i in range(one["ports_num"])]
    nic = entry.get("public_interface")
    ways = [(4, str(entry.get("public_ip", nic)))]
    if entry.get("private_ipv6"):
        ways.append((6, str(entry.get("public_ipv6", nic))))
    return [(*row, *way) for row in rows if row[2] != "icmp" for way in ways]
