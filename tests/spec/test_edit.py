"""A forward put into the file and taken out again: the text before and after, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestnet.spec import edit
from guestnet.spec.document import load
from guestnet.spec.models import Spec
from guestnet.words.problems import GuestnetError, ProblemsError

HEAD = "networks:\n  lab: {mode: nat, ipv4: 192.168.84.1/24, ipv6: 'fd84::1/64'}  # ours\n"


def added(text: str, forward: str = "4080:80", guest: str = "web1", **more: str) -> str:
    made = edit.made(forward, (more["source"],) if "source" in more else (), more.get("said", ""))
    return edit.add(text.encode(), "f.yaml", guest, made).text


def removed(text: str, which: str = "4080:80", guest: str = "web1") -> str:
    return edit.remove(text.encode(), "f.yaml", guest, which).text


# What stands below `guests:` before, and with 4080:80 added to web1.
CASES = {
    "a block list": (
        """
        web1:
          network: lab
          forwards:            # to it
            - 4023:22          # ssh
            # - 4024:23        old
        db: {network: lab}
        """,
        """
        web1:
          network: lab
          forwards:            # to it
            - 4023:22          # ssh
            - 4080:80
            # - 4024:23        old
        db: {network: lab}
        """,
    ),
    "a block list at the key's own column, its last item a mapping": (
        """
        web1:
          forwards:
          - 4023:22
          -  # long
             ports: 5000
             to: 80

          network: lab
        """,
        """
        web1:
          forwards:
          - 4023:22
          -  # long
             ports: 5000
             to: 80
          - 4080:80

          network: lab
        """,
    ),
    "a list in brackets": (
        "web1: {network: lab, forwards: [4023:22, '5000:80']}  # x\n",
        "web1: {network: lab, forwards: [4023:22, '5000:80', 4080:80]}  # x\n",
    ),
    "brackets with a comma at the end": (
        "web1: {forwards: [4023:22,], network: lab}\n",
        "web1: {forwards: [4023:22, 4080:80,], network: lab}\n",
    ),
    "brackets over several lines": (
        """
        web1:
          network: lab
          forwards: [
            4023:22,  # ssh
            {ports: 5000, to: 80}  # http
            # the end
          ]
        """,
        """
        web1:
          network: lab
          forwards: [
            4023:22,  # ssh
            {ports: 5000, to: 80},  # http
            4080:80
            # the end
          ]
        """,
    ),
    "several lines, a comma at the end": (
        "web1:\n  network: lab\n  forwards: [4023:22,\n    5000:80,\n  ]\n",
        "web1:\n  network: lab\n  forwards: [4023:22,\n    5000:80,\n    4080:80,\n  ]\n",
    ),
    "empty brackets": (
        "web1:\n  network: lab\n  forwards: []  # none yet\n",
        "web1:\n  network: lab\n  forwards: [4080:80]  # none yet\n",
    ),
    "empty brackets with a blank": (
        "web1: {network: lab, forwards: [ ]}\n",
        "web1: {network: lab, forwards: [ 4080:80 ]}\n",
    ),
    "nothing behind the key": (
        "web1:\n  forwards:  # none yet\n    # - 4023:22\n  network: lab\n",
        "web1:\n  forwards:  # none yet\n    - 4080:80\n    # - 4023:22\n  network: lab\n",
    ),
    "an anchor that nobody uses": (
        "web1:\n  network: lab\n  forwards: &its  # x\n    # y\n    - 4023:22\n",
        "web1:\n  network: lab\n  forwards: &its  # x\n    # y\n    - 4023:22\n    - 4080:80\n",
    ),
    "no line break at the end": (
        "web1:\n  network: lab\n  forwards:\n    - 4023:22",
        "web1:\n  network: lab\n  forwards:\n    - 4023:22\n    - 4080:80",
    ),
    "names in quotes": (
        "db: {network: lab, forwards: [&ssh '9:22']}\n\"web1\":\n  network: lab\n  'forwards':\n  - 5\n",
        "db: {network: lab, forwards: [&ssh '9:22']}\n\"web1\":\n  network: lab\n  'forwards':\n  - 5\n  - 4080:80\n",
    ),
}  # fmt: skip
# Where the key was not there, or null is written, `remove` leaves a list.
ONE_WAY = {
    "no key": (
        "web1:\n  network: lab  # x\n  # y\ndb: {network: lab}\n",
        "web1:\n  network: lab  # x\n  forwards:\n    - 4080:80\n  # y\ndb: {network: lab}\n",
        "web1:\n  network: lab  # x\n  forwards:\n  # y\ndb: {network: lab}\n",
    ),
    "no key, nics": (
        "web1:\n    nics:\n    - {network: lab}   # first\n",
        "web1:\n    nics:\n    - {network: lab}   # first\n    forwards:\n      - 4080:80\n",
        "web1:\n    nics:\n    - {network: lab}   # first\n    forwards:\n",
    ),
    "no key, in braces": (
        "web1: {network: lab}",
        "web1: {network: lab, forwards: [4080:80]}",
        "web1: {network: lab, forwards: []}",
    ),
    "braces over several lines": (
        "web1: {\n  network: lab,  # x\n}\n",
        "web1: {\n  network: lab,  # x\n  forwards: [4080:80],\n}\n",
        "web1: {\n  network: lab,  # x\n  forwards: [],\n}\n",
    ),
    "nothing behind the key, in braces": (
        "web1: {network: lab, forwards: }\n",
        "web1: {network: lab, forwards: [4080:80] }\n",
        "web1: {network: lab, forwards: [] }\n",
    ),
    "null": (
        "web1:\n  forwards: ~  # x\n  network: lab\n",
        "web1:\n  forwards: [4080:80]  # x\n  network: lab\n",
        "web1:\n  forwards: []  # x\n  network: lab\n",
    ),
}


def file(text: str) -> str:
    """A file with these guests in it."""
    lines = dedent(text).lstrip("\n").splitlines(keepends=True)
    return HEAD + "guests:\n" + "".join(f"  {line}" if line.strip() else line for line in lines)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("crlf", [False, True])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_there_and_back(name: str, crlf: bool, bom: str) -> None:
    before, after = (bom + file(text) for text in CASES[name])
    if crlf:
        before, after = (text.replace("\n", "\r\n") for text in (before, after))
    assert added(before) == after
    assert removed(after) == before


@pytest.mark.parametrize("name", ONE_WAY)
def test_the_key_comes_and_stays(name: str) -> None:
    before, after, then = map(file, ONE_WAY[name])
    assert added(before) == after
    assert removed(after) == then


@pytest.mark.parametrize(
    ("which", "left"),
    [
        ("1:1", "[2, 3, 4]"),
        ("2", "[1, 3, 4]"),
        ("4/tcp", "[1, 2, 3]"),
    ],
)
def test_out_of_brackets(which: str, left: str) -> None:
    text = "web1: {network: lab, forwards: %s}\n"
    assert removed(file(text % "[1, 2, 3, 4]"), which) == file(text % left)


def test_the_first_of_a_list_and_its_comment_go() -> None:
    text = "web1:\n  network: lab\n  forwards:\n    # of all\n    - 1  # one\n    # of two\n    - {ports: 2, to: 3}\n"
    assert removed(file(text), "1") == file(text.replace("    - 1  # one\n", ""))
    assert removed(file(text), "2:3") == file(text.replace("    - {ports: 2, to: 3}\n", ""))
    assert removed(file(text), "2") == removed(file(text), "2/tcp") == removed(file(text), "2:3/tcp")


def test_what_is_written() -> None:
    block = file("web1:\n  network: lab\n  forwards:\n    - 1\n")
    for forward, more, line in (
        ("80", {}, "80"),
        ("[fd84::9]:443:443/tcp", {}, '"[fd84::9]:443"'),
        ("192.0.2.1:53:53/udp", {}, "192.0.2.1:53/udp"),
        ("up0:80:80", {}, "up0:80:80"),
        ("203.0.113.7/all", {}, "203.0.113.7/all"),
        ("80:81/tcp+udp", {"source": "2001:db8::/32"}, "{ports: 80, to: 81, protocol: tcp+udp, from: [2001:db8::/32]}"),
        ("80", {"said": "a: [b], #c"}, '{ports: 80, description: "a: [b], #c"}'),
        ("[fd84::9]:80", {"said": "web"}, "{ports: 80, listen: fd84::9, description: web}"),
        ("203.0.113.7/all", {"said": "no"}, '{protocol: all, listen: 203.0.113.7, description: "no"}'),
    ):
        assert added(block, forward, **more) == f"{block}      - {line}\n"
        brackets = file("web1: {network: lab, forwards: [1]}\n")
        assert added(brackets, forward, **more) == brackets.replace("[1]", f"[1, {line}]")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("web1: &web {network: lab}\nweb2: *web\n", "without changing more than guest web1"),
        (
            "web1:\n  network: lab\n  forwards: &f [{ports: 1, enabled: false}]\nweb2: {forwards: *f, network: lab}\n",
            "changing more than",
        ),
        ("web2: &web {network: lab}\nweb1: *web\n", "guest web1: it is written as *web"),
        ("web2: {network: lab, forwards: &f []}\nweb1: {network: lab, forwards: *f}\n", "its forwards are those of *f"),
        ("web1:\n", "guest web1 has no network"),
    ],
)
def test_by_hand(text: str, why: str) -> None:
    with pytest.raises(GuestnetError, match=r"edit it by hand|network: in it") as caught:
        added(file(text))
    assert why in str(caught.value)


def test_an_item_that_others_share_is_not_taken_out() -> None:
    shared = file(
        "db: {network: lab, forwards: [&f {ports: 1, family: ipv4}]}\nweb1:\n  network: lab\n  forwards: [*f]\n"
    )
    with pytest.raises(ProblemsError):
        removed(shared, "1")  # two guests with one port are no right file
    off = file("db: {network: lab, forwards: [&f {ports: 1, enabled: false}]}\nweb1: {network: lab, forwards: [*f]}\n")
    with pytest.raises(GuestnetError, match=r"is written as \*f"):
        removed(off, "1")
    with pytest.raises(GuestnetError, match="without changing more than guest db"):
        removed(off, "1", "db")


@pytest.mark.parametrize(
    ("which", "number"),
    [
        ("up0:40000-40300/tcp+udp", 0),
        ("4080/tcp from 198.51.100.0/24, 2001:db8::/32", 1),
        ("4080/tcp", 1),
        ("203.0.113.2:4080/tcp", 2),
        ("203.0.113.2, up1: 4081/udp", 3),
        ("[2001:db8::5]:4082/tcp from 2001:db8::9", 4),
        ("203.0.113.5, 2001:db8::6/all", 5),
        ("2001:db8::7/all", 6),
    ],
)
def test_as_the_list_prints_it(which: str, number: int) -> None:
    items = [
        "up0:40000-40300:40000-40300/tcp+udp",
        "{ports: 4080, to: 80, from: [198.51.100.0/24, '2001:db8::/32']}",
        "203.0.113.2:4080:80",
        "{ports: 4081, to: 80, protocol: udp, listen: [203.0.113.2, up1]}",
        "{ports: 4082, to: 80, listen: '2001:db8::5', from: '2001:db8::9'}",
        "{protocol: all, listen: [203.0.113.5, '2001:db8::6']}",
        "'[2001:db8::7]/all'",
    ]
    text = file("web1:\n  network: lab\n  forwards:\n" + "".join(f"    - {item}\n" for item in items))
    assert removed(text, which) == text.replace(f"      - {items[number]}\n", "")


WEB = file(
    "web1:\n  network: lab\n  forwards: [4023:22, '4023:22/udp', {ports: 9, enabled: false}]\ndb: {network: lab}\n"
)


@pytest.mark.parametrize(
    ("forward", "guest", "why"),
    [
        ("4023:22", "web1", "guest web1 has the forward 4023:22 already, at line 6"),
        ("9", "web1", "has the forward 9 already, at line 6, switched off"),
        ("4023:23", "db", "f.yaml:7:33: host port 4023/tcp is already forwarded to web1 at line 6"),
        ("4023:23", "web1", "host port 4023/tcp is already forwarded to web1 at line 6"),
        ("1", "web", r'guest web is not in f.yaml \(did you mean "web1"\?\)'),
        ("ssh", "web1", "is not a port"),
        ("8000-8002:80", "web1", "ranges map one to one"),
        ("1", "lab", "guest lab is not in f.yaml"),
    ],
)
def test_what_cannot_be_added(forward: str, guest: str, why: str) -> None:
    with pytest.raises(GuestnetError, match=why):
        added(WEB, forward, guest)


@pytest.mark.parametrize(
    ("which", "why"),
    [
        ("4024", "guest web1 has no forward 4024 .it has 4023:22, 4023:22/udp, 9"),
        ("4023", "4023 names 2 forwards of guest web1: 4023:22, 4023:22/udp .write one"),
        ("4023/tcp+udp", "no forward 4023/tcp.udp"),
        ("4023:23", "no forward 4023:23"),
        ("4023:4023", "no forward 4023:4023"),
        ("192.0.2.1:4023:22", "no forward 192.0.2.1:4023:22"),
    ],
)
def test_what_cannot_be_removed(which: str, why: str) -> None:
    with pytest.raises(GuestnetError, match=why):
        removed(WEB, which)


def test_from_is_judged_as_in_the_file() -> None:
    with pytest.raises(GuestnetError, match="nobody in from can reach"):
        edit.made("192.0.2.1:80", ("2001:db8::/32",))
    with pytest.raises(GuestnetError, match=r"198\.51\.100\.300"):
        edit.made("80", ("198.51.100.300",))


def test_a_file_that_is_wrong_is_refused_with_all_that_is() -> None:
    with pytest.raises(ProblemsError, match="unknown key"):
        added(WEB.replace("db: {network", "db: {netwrk"))


COMMENTS = st.sampled_from(["", "  # x", "   # - 1:2", " #"])
BETWEEN = st.sampled_from(["", "\n", "    # c\n", "\n# d\n"])
ITEMS = ("%d:22", '"%d"', "'%d:9/udp'", "{ports: %d, to: 22}", "{ports: %d-%d}", "[fd84::9]:%d:1")


@st.composite
def files(draw: st.DrawFn) -> str:
    """Right files, with guests web1, web2 and so on, each with a `forwards:`, and comments wherever they may be."""
    port = iter(range(1000, 2000, 2))
    text = draw(BETWEEN).replace("    ", "") + HEAD + draw(BETWEEN) + f"guests:{draw(COMMENTS)}\n"
    for number in range(1, draw(st.integers(2, 4))):
        items: list[str] = [draw(_item(port)) for _ in range(draw(st.integers(0, 3)))]
        text += f"  web{number}:{draw(COMMENTS)}\n" + draw(BETWEEN)
        two = [f"    network: lab{draw(COMMENTS)}\n", "".join(_forwards(draw, items))]
        text += draw(BETWEEN).join(two if draw(st.booleans()) else two[::-1]) + draw(BETWEEN)
    if draw(st.booleans()):
        text = text.rstrip("\n")
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@st.composite
def _item(draw: st.DrawFn, ports: Iterator[int]) -> str:
    item, port = draw(st.sampled_from(ITEMS)), next(ports)
    filled = item % ((port,) if item.count("%d") == 1 else (port, port + 1))
    return f'"{filled}"' if filled.startswith("[") else filled


def _forwards(draw: st.DrawFn, items: list[str]) -> Iterator[str]:
    style = draw(st.sampled_from(["block", "line", "lines"]))
    if not items:
        yield draw(st.sampled_from(["    forwards: []  # x\n", "    forwards:\n"]))
    elif style == "line":
        yield f"    forwards: [{', '.join(items)}]{draw(COMMENTS)}\n"
    elif style == "block":
        indent = draw(st.sampled_from(["    ", "      "]))
        yield f"    forwards:{draw(COMMENTS)}\n"
        for item in items:
            yield f"{draw(BETWEEN)}{indent}- {item}{draw(COMMENTS)}\n"
    else:
        comma = draw(st.sampled_from([",", ""]))
        yield f"    forwards: [{draw(COMMENTS)}\n"
        for i, item in enumerate(items):
            yield f"      {item}{',' if i + 1 < len(items) else comma}{draw(COMMENTS)}\n{draw(BETWEEN)}"
        yield f"    ]{draw(COMMENTS)}\n"


@settings(max_examples=300, deadline=None)
@given(files(), st.sampled_from(["4080:80", "[fd84::9]:4080:80", "4080-4090/tcp+udp"]), st.sampled_from(["", "a, b"]))
def test_any_file_there_and_back(text: str, forward: str, said: str) -> None:
    after = added(text, forward, said=said)
    assert after != text
    assert after.count("#") == text.count("#")
    assert removed(after, forward) == text


@settings(max_examples=200, deadline=None)
@given(files(), st.data())
def test_any_forward_goes_alone(text: str, data: st.DataObject) -> None:
    """What is left of the lines is lines that were there, and no comment above an item goes."""
    spec = Spec.model_validate(load(text, "f.yaml").data)
    its = spec.guests["web1"].forwards
    if not its:
        return
    which = edit.shown(data.draw(st.sampled_from(its)))
    after = removed(text, which)
    assert len(Spec.model_validate(load(after, "f.yaml").data).guests["web1"].forwards) == len(its) - 1
    for line in text.splitlines():
        assert not line.strip().startswith("#") or after.count(line) >= 1
