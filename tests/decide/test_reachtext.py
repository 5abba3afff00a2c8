"""The matrix as it is printed: whole tables, and the lines for what differs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from guestnet.decide.case import Followed
from guestnet.decide.reach import HOST, INTERNET, Cell, End, Key, Measured
from guestnet.decide.reachtext import WIDTH, differences, reasons, summary, table, unmeasured

LAB, CELL, SPARE = (End("network", name) for name in ("lab", "cell", "spare"))
MODES = {"lab": "nat", "cell": "isolated", "spare": "bridge"}


def cells(*networks: End, verdict: Any = "yes") -> list[Cell]:
    """Every way of these networks, all alike."""
    ways = [(a, b) for a in networks for b in (INTERNET, HOST, *networks)]
    ways += [(outer, b) for b in networks for outer in (INTERNET, HOST)]
    return [Cell(a, b, family, verdict, "because") for family in (4, 6) for a, b in ways]


def measured(those: Iterable[Cell], **other: Any) -> dict[Key, Measured]:
    """As predicted, but those that `other` names as a__b: a verdict for both families."""
    found = {}
    for cell in those:
        verdict = other.get(f"{cell.source}__{cell.target}", cell.verdict)
        found[cell.key] = Measured(cell, verdict, "tcp silence" if verdict else "it does not run")
    return found


def test_predicted() -> None:
    def closed(cell: Cell) -> bool:
        return (CELL in cell.key and cell.source != cell.target) or cell.key == (LAB, INTERNET, 6)

    those = [replace(cell, verdict="no") if closed(cell) else cell for cell in cells(LAB, CELL)]
    assert table(those, {}, MODES, probed=False) == [
        "predicted               -> internet  -> host  -> itself  -> lab  -> cell  internet ->  host ->",
        "lab (nat)        v4     yes          yes      yes                no       yes          yes",
        "                 v6     no           yes      yes                no       yes          yes",
        "cell (isolated)  v4 v6  no           no       yes        no               no           no",
    ]


def test_measured() -> None:
    those = [cell for cell in cells(LAB, CELL) if cell.family == 4 or CELL not in cell.key]
    shown = table(those, measured(those, lab__internet="no", lab__host=None, cell__cell="partly"), MODES, probed=True)
    assert shown == [
        "predicted/measured      -> internet  -> host  -> itself    -> lab   -> cell  internet ->  host ->",
        "lab (nat)           v4  yes/NO!      yes/-    yes/yes               yes/yes  yes/yes      yes/yes  1 differs",
        "                    v6  yes/NO!      yes/-    yes/yes               -        yes/yes      yes/yes  1 differs",
        "cell (isolated)     v4  yes/yes      yes/yes  yes/PARTLY!  yes/yes           yes/yes      yes/yes  1 differs",
    ]


def test_families_that_say_the_same_are_counted_together() -> None:
    those = cells(LAB)
    (_, row) = table(those, measured(those, lab__internet="no", host__lab="no"), MODES, probed=True)
    assert row.split()[2:4] == ["v4", "v6"]
    assert row.endswith("4 differ")


def test_a_network_on_the_lan_has_no_column_of_its_own() -> None:
    those = cells(LAB, CELL) + [
        Cell(a, b, 4, "lan", "as the LAN") for a, b in ((SPARE, INTERNET), (SPARE, HOST), (SPARE, SPARE))
    ]
    head, *_, spare = table(those, {}, MODES, probed=False)
    assert "-> spare" not in head
    assert spare.split() == ["spare", "(bridge)", "v4", "lan", "lan", "lan", "-", "-", "-", "-"]
    promised = Measured(those[-3], "yes", "", promise="yes")
    found = table(those, {those[-3].key: promised}, MODES, probed=True)
    assert "lan/yes" in found[-1]
    assert found[-1].endswith("ok")


def test_wide_ones_go_on_below_and_nothing_is_lost() -> None:
    networks = [End("network", f"network{i}") for i in range(12)]
    across = [cell for cell in cells(*networks, verdict="forwards") if {HOST, INTERNET}.isdisjoint(cell.key)]
    those = across + [
        cell for cell in cells(*networks) if cell not in across and not {HOST, INTERNET}.isdisjoint(cell.key)
    ]
    lines = table(those, measured(those), {}, probed=True)
    assert max(map(len, lines)) <= WIDTH
    blocks = "\n".join(lines).split("\n\n")
    assert len(blocks) > 2
    assert all(len(block.splitlines()) == 13 for block in blocks), "each with a row a network"
    heads = " ".join(block.splitlines()[0] for block in blocks)
    assert all(heads.count(f"-> {network} ") == 1 for network in networks[:-1])
    assert "\n".join(lines).count("forwards/forwards") == 12 * 12


def test_nothing_to_show() -> None:
    assert table([], {}, {}, probed=False) == ["predicted    -> internet  -> host  -> itself  internet ->  host ->"]
    assert reasons([]) == differences([], {}) == unmeasured([]) == []


def test_reasons_together() -> None:
    those = [
        Cell(CELL, LAB, 4, "no", "cell is isolated"),
        Cell(CELL, SPARE, 4, "no", "cell is isolated"),
        Cell(LAB, INTERNET, 4, "yes", "NAT44"),
        Cell(CELL, LAB, 6, "no", "cell is isolated"),
        Cell(CELL, SPARE, 6, "no", "cell is isolated"),
        Cell(LAB, INTERNET, 6, "no", "no NAT"),
    ]
    assert reasons(those) == [
        "cell -> lab, spare  v4 v6 no: cell is isolated",
        "lab -> internet  v4 yes: NAT44; v6 no: no NAT",
    ]


DROPPED = Followed("dropped by somebody's rule", "", "remove that rule")


def test_differences() -> None:
    those = [
        Cell(LAB, INTERNET, 4, "yes", ""), Cell(LAB, INTERNET, 6, "yes", ""), Cell(LAB, CELL, 4, "yes", ""),
        Cell(INTERNET, LAB, 4, "forwards", ""), Cell(CELL, HOST, 4, "no", ""), Cell(LAB, LAB, 4, "yes", ""),
        Cell(HOST, LAB, 4, "yes", ""), Cell(HOST, LAB, 6, "yes", ""),
    ]  # fmt: skip
    found = [Measured(cell, "yes" if cell.source == CELL else "no", "tcp silence") for cell in those]
    found[5] = Measured(those[5], "yes", "tcp answered")
    followed = {cell.key: DROPPED for cell in those[:4]}
    followed[those[4].key] = Followed("", "no rule stopped it", "guestnet apply")
    assert differences(found, followed) == [
        "lab -> internet, v4: predicted yes, measured no. First broken hop: dropped by somebody's rule",
        "  the same: lab -> internet, v6; lab -> cell, v4",
        "  the same, predicted forwards, measured no: internet -> lab, v4",
        "  what to do: remove that rule",
        "cell -> host, v4: predicted no, measured yes. Let through: no rule stopped it",
        "  what to do: guestnet apply",
        "2 more differ, in capitals above, and were not followed; to follow one: guestnet why host lab",
    ]


def test_how_to_follow_one_on_the_lan() -> None:
    wrong = Measured(Cell(SPARE, INTERNET, 4, "lan", ""), "no", "", promise="yes")
    (line,) = differences([wrong], {}, MODES)
    assert line.endswith("to follow one: guestnet why spare internet --lan")


def test_what_was_not_measured_and_the_summary() -> None:
    those = [Cell(LAB, INTERNET, 4, "yes", ""), Cell(LAB, INTERNET, 6, "yes", ""), Cell(SPARE, HOST, 4, "lan", "")]
    found = [Measured(one, None, "it does not run") for one in those[:2]]
    assert unmeasured(found) == ["not measured: lab -> internet, v4 v6: it does not run"]
    many = [Measured(cell, None, "it does not run") for cell in cells(LAB, CELL)]
    assert unmeasured(many) == ["not measured: 24 cells of lab, cell: it does not run"]
    assert summary(found, 0.2) == "0 cells measured in 0.2 s, 0 as predicted"
    right = [Measured(those[0], "yes", "", simulated=True), Measured(those[1], "no", ""), Measured(those[2], "no", "")]
    assert summary(right, 5.25) == (
        "3 cells measured in 5.2 s, 1 as predicted, 1 as the LAN allows "
        "(the internet's side simulated from a link of our own)"
    )
