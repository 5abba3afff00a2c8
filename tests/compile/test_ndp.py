"""What the hook makes of the addresses that guests have outside: the same as apply, with the prefix of that moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestnet.compile import hookdata, ndp, translation
from guestnet.spec.memory import Memory
from tests.compile.test_golden import GOLDEN, made
from tests.hooked import hook

WORLD, _ = made(GOLDEN / "075-global-addresses", Memory())
LINE = "{address} 02 40 00 {flags} {nic}\n"
HERE, THERE = "20010db8000000000000000000000002", "20010db8009900000000000000000002"


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What apply has written, and no address of the host yet."""
    (tmp_path / "guests").mkdir()
    for guest in WORLD.guests:
        (tmp_path / "guests" / guest.name).write_text(hookdata.guest_file(guest))
    (tmp_path / "outside").write_text(ndp.hook_file(WORLD.networks))
    (tmp_path / "if_inet6").write_text("")
    monkeypatch.setattr(hook, "COMPILED", str(tmp_path))
    monkeypatch.setattr(hook, "OUTSIDE", str(tmp_path / "outside"))
    monkeypatch.setattr(hook, "ADDRESSES", str(tmp_path / "if_inet6"))
    monkeypatch.setattr(hook, "LOG", str(tmp_path / "hook.log"))
    monkeypatch.setattr(hook, "uplinks", {})
    return tmp_path


def addresses(compiled: Path, *lines: tuple[str, str, str]) -> None:
    text = "".join(LINE.format(address=address, flags=flags, nic=nic) for address, flags, nic in lines)
    (compiled / "if_inet6").write_text(text)


def test_both_know_the_same() -> None:
    assert (hook.PARTS, hook.INWARDS, hook.OUTWARDS) == (translation.PARTS, translation.INWARDS, translation.OUTWARDS)
    assert ["protocol", str(ndp.PROTOCOL)] == hook.NDP
    assert hook.OUTSIDE == ndp.FILE


def test_the_hook_answers_for_what_apply_does(compiled: Path) -> None:
    addresses(compiled, (HERE, "80", "enp6s0"))
    for guest in WORLD.guests:
        assert tuple(hook.answered(guest.name)) == ndp.entries(guest)
    assert [len(hook.answered(guest.name)) for guest in WORLD.guests] == [1, 1, 2, 0]
    assert not (compiled / "hook.log").exists()


def test_and_fills_the_maps_as_apply_does(compiled: Path) -> None:
    addresses(compiled, (HERE, "80", "enp6s0"))
    wanted = translation.elements(WORLD.networks, WORLD.guests)
    text = hook.translation()
    for name in (translation.INWARDS, translation.OUTWARDS):
        assert f"flush map inet guestnet {name}\n" in text
        assert f"add element inet guestnet {name} {{ {', '.join(wanted[name])} }}\n" in text
    halves = {half for guest in WORLD.guests for half in hook.elements(guest.name).get(hook.PARTS, [])}
    assert halves == set(wanted[translation.PARTS]) == {"::10", "::1:10"}


def test_another_prefix_of_the_uplink_is_taken_from_the_kernel(compiled: Path) -> None:
    """Not a private one, not one that fades, not another NIC's."""
    fades = (HERE, "a0", "enp6s0")
    addresses(compiled, fades, ("fd" + HERE[2:], "80", "enp6s0"), (HERE, "80", "eth1"), (THERE, "00", "enp6s0"))
    assert hook.answered("mail") == ["2001:db8:99::1:10 dev enp6s0"]
    assert hook.answered("shop") == ["2001:db8::f:10 dev enp6s0"], "which only apply can move"
    assert "{ 2001:db8:99::/64 : fdf2:52e6:b438:1::/64 }" in hook.translation()
    assert "enp6s0 has the prefix 2001:db8:99::/64 now" in (compiled / "hook.log").read_text()


def test_without_any_it_stays_as_it_was(compiled: Path) -> None:
    assert hook.answered("mail") == ["2001:db8::1:10 dev enp6s0"]
    assert hook.answered("www") == []


@pytest.mark.parametrize("text", ["enp6s0 2001:db8::/64\n", "enp6s0 junk fd00::/64\n", "\xff\xfe"])
def test_a_damaged_file_stops_nothing_else(compiled: Path, text: str) -> None:
    addresses(compiled, (HERE, "80", "enp6s0"))
    (compiled / "outside").write_text(text, encoding="latin-1")
    assert hook.translation() == ""
    assert hook.answered("mail") == []
    assert "guestnet apply" in (compiled / "hook.log").read_text()


def test_an_entry_is_spelled_as_ip_has_it() -> None:
    assert ndp.entries(WORLD.guests[0]) == ("2001:db8::1:10 dev enp6s0",)
