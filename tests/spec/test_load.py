"""Reading: positions, YAML 1.2's scalars, and that nothing but our own errors comes out, whatever goes in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestnet.spec.document import LARGEST, load
from guestnet.spec.load import load_spec, read, read_spec
from guestnet.words.problems import GuestnetError, Problem, ProblemsError


def refused(source: bytes | str) -> str:
    with pytest.raises(ProblemsError) as raised:
        load(source, "f")
    return str(raised.value.problems[0])


def problems_of(source: bytes | str) -> tuple[Problem, ...]:
    try:
        load_spec(source, "f")
    except ProblemsError as error:
        return error.problems
    return ()


def test_scalars_are_those_of_yaml_1_2() -> None:
    data = load("a: [4023:22, 052, yes, no, on, 0x10, 0o7, 1_000, 12, -3, 1.5, true, ~, '12', 2024-01-01]\n", "f").data
    assert data["a"] == [
        *("4023:22", "052", "yes", "no", "on", "0x10", "0o7", "1_000"),
        *(12, -3, 1.5, True, None, "12", "2024-01-01"),
    ]


def test_positions_of_keys_and_values() -> None:
    loaded = load("a:\n  b: {c: 1, d: [x, y]}\n  e:\n  f: >\n    text\n", "f")
    assert str(loaded.keys["a", "b"]) == "f:2:3"
    assert str(loaded.places["a", "b", "d", 1]) == "f:2:20"
    assert str(loaded.places["a", "e"]) == "f:3:3"  # nothing is written: where its key is
    assert str(loaded.place(("a", "b", "c", "deeper"))) == "f:2:10"


def test_an_alias_has_the_position_of_what_it_stands_for() -> None:
    loaded = load("a: &x {b: 1}\nc: *x\n", "f")
    assert loaded.data == {"a": {"b": 1}, "c": {"b": 1}}
    assert str(loaded.places["c", "b"]) == "f:1:11"


def test_without_moves_later_items_up() -> None:
    loaded = load("a: [x, y, z]\nb: 1\n", "f").without({("a", 0), ("b",)})
    assert loaded.data == {"a": ["y", "z"]}
    assert str(loaded.places["a", 0]) == "f:1:8"


def test_not_utf8() -> None:
    assert refused(b"a: b\nc: caf\xe9\n") == "f:2:7: byte 0xe9 is not UTF-8 (save the file as UTF-8)"
    assert refused("a: b\n".encode("utf-16")).startswith("f:1:1: byte 0xff is not UTF-8")


def test_control_characters() -> None:
    assert refused("a: b\nc: \x07\n") == "f:2:4: character U+0007 cannot stand in a text file (remove it)"


def test_a_byte_order_mark_and_dos_lines_are_fine() -> None:
    assert load(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "f").data == {"a": 1, "b": 2}


def test_ten_megabytes_are_refused_before_they_are_parsed() -> None:
    begin = time.monotonic()
    message = refused(b"a: b\n" * (10 * 1024 * 1024 // 5))
    assert message == "f:1:1: the file has more than 4 MB (at most 4 MB are read: is it the right file?)"
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize("text", ["", " \n", "# only words\n", "---\n", "~\n"])
def test_empty(text: str) -> None:
    assert "the file is empty" in refused(text)


def test_too_many_values_end_the_reading_early() -> None:
    assert "more than 100,000 values" in refused("a: [" + "x," * 200_000 + "]")


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_spec_or_our_own_error(source: bytes) -> None:
    problems_of(source)


YAMLISH = st.text(alphabet="abn0129:-,[]{}&*!|>'\"%@`#?~. \n\t\\/<xU", max_size=80)


@given(YAMLISH)
@settings(max_examples=500, deadline=None)
def test_any_text_gives_a_document_or_our_own_error(source: str) -> None:
    assert all(problem.place for problem in problems_of(source))


# fmt: off
WORDS = [
    "networks", "guests", "lab", "web1", "mode", "nat", "bridge", "mac", "ipv4", "ipv6", "address", "dhcp", "ranges",
    "lease", "ports", "domain", "stp", "network", "nics", "forwards", "to", "protocol", "listen", "family", "enabled",
    "description", "auto", "none", "any", "tcp", "both",
]
# fmt: on
LEAVES = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(["192.168.1.1/24", "fd00::1/64", "::10", "192.168.1.2", "80:80", "1-2", "52:54:00:00:00:01", "1h"]),
    st.integers(-1, 70000),
    st.booleans(),
    st.none(),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=25,
)


@given(st.fixed_dictionaries({"networks": TREES, "guests": TREES}))
@settings(max_examples=500, deadline=None)
def test_any_shape_gives_a_spec_or_problems_with_places(tree: object) -> None:
    for problem in problems_of(json.dumps(tree)):
        assert problem.place
        assert problem.what
        assert problem.todo
        assert "guestnet schema" not in problem.todo  # nothing of pydantic is left untranslated


def test_read_names_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(GuestnetError, match=r"there is no file .*/none.yaml \(write one like examples/seed.yaml"):
        read(tmp_path / "none.yaml")
    with pytest.raises(GuestnetError, match=r"is a directory \(name the file in it with -f FILE\)"):
        read(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(GuestnetError, match=r"cannot be read: Not a directory"):
        read(tmp_path / "file" / "below")
    with pytest.raises(GuestnetError, match="is not the name of a file"):
        read(Path("a\0b"))


def test_read_without_permission(tmp_path: Path) -> None:
    """In a process without root's right to read everything (the capability DAC_OVERRIDE)."""
    (tmp_path / "f").touch(mode=0)
    program = "import sys, pathlib; from guestnet.spec.load import read; read(pathlib.Path(sys.argv[1]))"
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    command = [*drop, sys.executable, "-c", program, str(tmp_path / "f")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "permission denied (run as root, or make it readable)" in done.stderr


def test_read_stops_at_what_is_accepted() -> None:
    assert len(read(Path("/dev/zero"))) == LARGEST + 1


def test_the_example_is_right(repo: Path) -> None:
    assert read_spec(repo / "examples" / "seed.yaml").guests.keys() == {"web1"}
