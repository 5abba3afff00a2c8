"""What plan shows, apply draws: chance is the host's own."""

from __future__ import annotations

import random
from pathlib import Path

from guestnet.host.chance import chance


def test_the_same_on_one_host_and_another_on_another(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("0123456789abcdef0123456789abcdef\n")
    other.write_text("0123456789abcdef0123456789abcdee\n")
    assert chance(one).getrandbits(40) == chance(one).getrandbits(40)
    assert chance(one).getrandbits(40) != chance(other).getrandbits(40)


def test_without_a_machine_id_it_is_the_systems(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for path in (tmp_path / "none", tmp_path / "empty"):
        assert isinstance(chance(path), random.SystemRandom)
