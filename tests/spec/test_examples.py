"""Every file in examples/, and every example in docs/knobs.md, is right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guestnet.faces import cli
from guestnet.spec.load import load_spec
from guestnet.words import modes

REPO = Path(__file__).parent.parent.parent
EXAMPLES = sorted((REPO / "examples").iterdir())
KNOBS = (REPO / "docs" / "knobs.md").read_text()
PARTS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", KNOBS, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_examples_pass_check(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.run(["-f", str(path), "check"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert "network" in out


def test_the_examples_have_every_mode() -> None:
    there = {network.mode for path in EXAMPLES for network in load_spec(path.read_bytes(), path.name).networks.values()}
    assert there == set(modes.MODES)


@pytest.mark.parametrize("key", PARTS)
def test_the_page_of_knobs_shows_each_in_a_file_that_is_right(key: str) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PARTS[key], re.DOTALL)
    load_spec(text, f"{key}.yaml")
    assert f"{key}:" in text


@pytest.mark.parametrize("page", ["nat", "isolated", "routed", "bridge", "macvtap", "passthrough"])
def test_examples_of_the_modes_pages_are_right(page: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (REPO / "docs" / f"{page}.md").read_text(), re.DOTALL)
    assert blocks
    for text in blocks:
        load_spec(text, f"{page}.yaml")


def test_tables_in_the_docs_are_whole() -> None:
    """A row behind an empty line is no row."""
    for path in (REPO / "docs").glob("*.md"):
        for head in re.findall(r"(?:\A|\n\n)(\|.*\n.*)", path.read_text()):
            assert re.fullmatch(r"[|-]+", head.splitlines()[1]), f"{path.name}: {head}"


def test_the_page_has_the_modes_of_each_key() -> None:
    for names, said in re.findall(r"^\| (\[.*?) \| (.*?) \|", KNOBS, re.MULTILINE):
        for key in re.findall(r"`(\w+)`", names):
            if key != "nics":
                wanted = {mode for mode in modes.MODES if key in modes.KEYS[mode]}
                spoken = said if f"`{key}`" in said or ";" not in said else said.partition(";")[0]
                assert {mode for mode in modes.MODES if re.search(rf"\b{mode}\b", spoken)} == wanted, key
