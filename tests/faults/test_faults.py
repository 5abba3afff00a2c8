"""The short form of `make faults`: of each scenario a point, drawn anew each time."""

from __future__ import annotations

import os
import random

import pytest

from guestnet.decide.state import KINDS
from tests.faults.cycles import FAULTS
from tests.faults.inject import NETWORK_CALLS
from tests.faults.scenarios import LEFT_OUT, SCENARIOS
from tests.faults.together import Wanted, side_by_side

FEW = 1  # of each scenario, which takes some seconds to begin


def test_no_kind_of_step_is_forgotten() -> None:
    tried = set().union(*(one.kinds for one in SCENARIOS))
    assert tried | LEFT_OUT == set(KINDS), "a new kind wants a scenario that has a step of it"
    assert not tried & LEFT_OUT


def test_nor_a_call_of_libvirt() -> None:
    assert set().union(*(one.calls for one in SCENARIOS)) == set(NETWORK_CALLS)


@pytest.mark.lab
def test_the_old_state_or_the_new_one() -> None:
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(1 << 32)))  # noqa: S311  not a secret
    print(f"FAULTS_SEED={seed}")
    found = list(side_by_side([one.name for one in SCENARIOS], Wanted(few=FEW, seed=seed), jobs=2))
    for told in found:
        print("\n".join(told.lines()))
    assert not [what for told in found for what in told.failed]
    assert set().union(*(told.kinds for told in found)) == set(FAULTS), "all that can go wrong does"
    assert {told.name for told in found if sum(told.tried.values()) == FEW} == {one.name for one in SCENARIOS}
