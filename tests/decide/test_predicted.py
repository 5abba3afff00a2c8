"""Prediction and measurement held against each other, where the host was as its file says. measured.json is what
packets found there (tests/live/record_reach.py writes it); each change to either side must be found out."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from guestnet.decide.facts import Facts, Uplink
from guestnet.decide.judge import Heard, judge
from guestnet.decide.reach import Cell, Verdict, predict
from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.resolve import Taken, resolve
from tests.live.test_reach import FILE

FACTS = Facts(hostname="kvm1", libvirt="9.0.0", uplinks=(Uplink("up0", (4, 6), kernel_ra=False),))
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


def predicted() -> tuple[Cell, ...]:
    chance = random.Random(1)  # noqa: S311  not a secret
    world, _ = resolve(load_spec(FILE, "test.yaml"), Memory(), random=chance, taken=Taken(), macs={})
    return predict(world, FACTS)


def recorded() -> dict[tuple[str, str, int], list[Heard]]:
    lines = json.loads(Path(__file__).with_name("measured.json").read_text())
    return {(a, b, family): [Heard(*answer) for answer in answers] for a, b, family, answers in lines}


CELLS = [(cell, recorded()[str(cell.source), str(cell.target), cell.family]) for cell in predicted()]


def name(cell: Cell) -> str:
    return f"{cell.source}-{cell.target}-v{cell.family}"


NAMED = [pytest.param(cell, heard, id=name(cell)) for cell, heard in CELLS]


def test_every_cell_was_measured_and_is_as_predicted() -> None:
    assert {name(cell) for cell, _ in CELLS} == {f"{a}-{b}-v{family}" for a, b, family in recorded()}
    assert [name(cell) for cell, heard in CELLS if judge(cell, heard, "").right is not True] == []
    assert {cell.verdict for cell, _ in CELLS} == {"yes", "no", "forwards", "services"}


@pytest.mark.parametrize(("cell", "heard"), NAMED)
def test_a_prediction_that_is_wrong_on_purpose_is_found(cell: Cell, heard: list[Heard]) -> None:
    """Each verdict made each other one; but `lan`, which promises nothing."""
    for verdict in VERDICTS:
        if verdict not in (cell.verdict, "lan"):
            assert judge(replace(cell, verdict=verdict), heard, "").right is False, verdict


def test_wrong_predictions_are_found_in_the_right_place() -> None:
    """One at a time: that cell, and no other."""
    for wrong, _ in CELLS:
        other: Verdict = "no" if wrong.verdict == "yes" else "yes"
        cells = [(replace(cell, verdict=other) if cell == wrong else cell, heard) for cell, heard in CELLS]
        assert [cell.key for cell, heard in cells if judge(cell, heard, "").right is False] == [wrong.key]


def corrupted(heard: list[Heard]) -> Iterator[list[Heard]]:
    """The answers with one of them as if its packet had fared otherwise."""
    for i, one in enumerate(heard):
        came = one.outcome in ("answered", "refused")
        yield [*heard[:i], replace(one, outcome="silence" if came else "answered", by=""), *heard[i + 1 :]]


@pytest.mark.parametrize(("cell", "heard"), NAMED)
def test_a_measurement_that_is_wrong_on_purpose_is_found(cell: Cell, heard: list[Heard]) -> None:
    """Of a machine out there one answer is enough, whichever: there all have to be lost."""
    if heard[0].way == "far" and cell.verdict == "yes":
        lost = [replace(one, outcome="silence", by="") for one in heard]
        assert judge(cell, lost, "").right is False
        return
    for answers in corrupted(heard):
        assert judge(cell, answers, "").right is False, answers


def test_a_cell_that_nobody_was_asked_for_is_no_good_one() -> None:
    for cell, _ in CELLS:
        one = judge(cell, [], "the network does not run")
        assert (one.right, one.verdict, one.text) == (None, None, "the network does not run")
