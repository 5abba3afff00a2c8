"""What is said about wrong files: every golden folder's spec.yaml in, its problems.txt out."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestnet.spec.load import load_spec
from guestnet.words.problems import ProblemsError

GOLDEN = Path(__file__).parent.parent / "golden" / "900-problems"
CASES = sorted(path.name for path in GOLDEN.iterdir())


@pytest.mark.parametrize("case", CASES)
def test_problems(case: str, golden_update: bool) -> None:
    folder = GOLDEN / case
    with pytest.raises(ProblemsError) as raised:
        load_spec((folder / "spec.yaml").read_bytes(), "guestnet.yaml")
    if golden_update:
        (folder / "problems.txt").write_text(f"{raised.value}\n", encoding="utf-8")
    assert f"{raised.value}\n" == (folder / "problems.txt").read_text(encoding="utf-8")
