"""The cases that real resolvers have answered: predicted, for each of them, in every order they were asked in."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from guestnet.decide.select.case import Case, from_json
from guestnet.decide.select.order import by_glibc, order
from guestnet.decide.select.source import Kernel

FILE = Path(__file__).parent.parent.parent / "data" / "address-selection.json"
CASES: list[dict[str, Any]] = json.loads(FILE.read_text())["cases"]
NAMES = [case["name"] for case in CASES]


def made(data: dict[str, Any]) -> Case:
    case = from_json(json.dumps(data))
    assert isinstance(case, Case)
    return case


@pytest.mark.parametrize("data", CASES, ids=NAMES)
def test_glibc(data: dict[str, Any]) -> None:
    case = made(data)
    ways = {
        "expect": case,
        "expect_reversed_input": replace(case, dests=case.dests[::-1]),
        "expect_dns": replace(case, dns=True),
    }
    assert {key: [str(one) for one in by_glibc(way)] for key, way in ways.items()} == {key: data[key] for key in ways}


@pytest.mark.parametrize("data", CASES, ids=NAMES)
def test_sources(data: dict[str, Any]) -> None:
    kernel = Kernel(made(data).host)
    found = {dest: kernel.source(ip_address(dest)) for dest in data["sources"]}
    assert {dest: None if source is None else str(source) for dest, source in found.items()} == data["sources"]


def test_the_seed_has_its_variants() -> None:
    """The note's table as it is, as it edits it, and the two mistakes that are easily made with it."""
    assert {"seed-default", "seed-a8-full-table", "seed-label-alone", "seed-precedence-only"} <= set(NAMES)


@pytest.mark.parametrize("resolver", ["musl", "go"])
@pytest.mark.parametrize("data", CASES, ids=NAMES)
def test_others(data: dict[str, Any], resolver: str) -> None:
    assert [str(one) for one in order(made(data), resolver)] == data[resolver]
