"""--format json: one document on stdout, whatever happens; or it is refused."""

from __future__ import annotations

import errno
import json
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest

from guestnet.decide.facts import Facts
from guestnet.decide.plan import make_plan
from guestnet.decide.state import Change, File, Key
from guestnet.faces import bug, cli
from guestnet.faces.cli.change import show
from guestnet.faces.cli.document import Document
from guestnet.faces.cli.options import Format, Options
from guestnet.spec import load
from guestnet.spec.world import World
from guestnet.words.problems import AsideError, GuestnetError
from tests.faces.test_cli import SEED, run

STEP = Change(Key("reservation", "/x/web1"), None, File("x"))
ADDED = "reservation of web1 added"


@pytest.mark.parametrize("verb", [["show"], ["render"], ["init"], ["prefer-ipv6", "web1", "--print", "file"]])
def test_a_document_already(capsys: pytest.CaptureFixture[str], verb: list[str]) -> None:
    code, out, err = run(capsys, "-f", str(SEED), "--format", "json", *verb)
    assert code == 64
    assert "--format json: " in err
    assert [problem["todo"] for problem in json.loads(out)["problems"]] == [f"see: guestnet {verb[0]} --help"]


def test_errors(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    for verb in ("check", "plan"):
        code, out, err = run(capsys, "--format", "json", verb, "-f", missing)
        assert code == 1
        (problem,) = json.loads(out)["problems"]
        assert err == f"{problem['what']} ({problem['todo']})\n"
    code, out, _ = run(capsys, "--format", "json", "check", "--nonsense")
    assert (code, len(json.loads(out)["problems"])) == (64, 1)
    assert run(capsys, "--format", "json", "check", "-f", str(SEED))[1] == '{\n  "problems": []\n}\n'

    def broken(_path: Path) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr(bug, "FOLDER", tmp_path)
    monkeypatch.setattr(load, "read_spec", broken)
    code, out, err = run(capsys, "--format", "json", "check", "-f", str(SEED))
    assert (code, json.loads(out)["problems"][0]["what"]) == (3, err.splitlines()[0])

    def unreadable(_path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(load, "read_spec", unreadable)
    code, out, err = run(capsys, "--format", "json", "check", "-f", str(SEED))
    assert (code, err) == (1, "Input/output error\n")
    assert json.loads(out) == {"problems": [{"what": "Input/output error", "todo": ""}]}

    def interrupted(_path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(load, "read_spec", interrupted)
    code, out, _ = run(capsys, "--format", "json", "check", "-f", str(SEED))
    assert (code, json.loads(out)["problems"][0]["what"]) == (cli.INTERRUPTED, "interrupted")


def told(capsys: pytest.CaptureFixture[str], document: Document, error: GuestnetError | None = None) -> dict[str, Any]:
    capsys.readouterr()
    document.print(error)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def result(capsys: pytest.CaptureFixture[str], *words: str, fails: bool = False, left: bool = False) -> dict[str, Any]:
    """Of an apply that reports these words."""
    document = Document(wanted=True, verb="apply")
    for word in words:
        document.report(word, None if word in ("undoing", "undone") else STEP, 0)
    document.left += [AsideError("no agent", "install it")] if left else []
    found: dict[str, Any] = told(capsys, document, GuestnetError("no") if fails else None)["result"]
    return found


def test_results(capsys: pytest.CaptureFixture[str]) -> None:
    def ends(*words: str, **how: bool) -> tuple[str, list[str]]:
        found = result(capsys, *words, **how)
        return found["outcome"], found["done"]

    assert ends() == ("nothing to do", [])
    assert ends("done") == ("done", [ADDED])
    assert ends("done", "left", left=True) == ("partly", [ADDED])
    assert ends("left", left=True) == ends(fails=True) == ("refused", [])
    assert ends("done", "FAIL", "undoing", "undone", fails=True) == ("undone", [])
    assert ends("done", "FAIL", "undoing", fails=True) == ("failed", [ADDED])
    assert ends("done", fails=True) == ("failed", [ADDED]), "as with setup, that has nothing to take it back"
    assert result(capsys, "done", left=True)["left"] == [{"what": "no agent", "todo": "install it"}]


def test_for_people_it_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    document = Document(verb="apply", data={"digest": "1"})
    document.print(GuestnetError("no"))
    assert capsys.readouterr() == ("", "")


def test_who_is_asked_reads_the_plan_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pty.openpty()
    options = Options("x.yaml", None, Format.json, Document(wanted=True))
    plan = make_plan(World((), ()), Facts(hostname="kvm1", libvirt="9.0.0"), {}, {})
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        show(plan, options, yes=True)
        assert capsys.readouterr() == ("", "")
        show(plan, options, yes=False)
    os.close(ours)
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[-1]) == ("", "Nothing to do: the host is as the file says.")
    assert told(capsys, options.document)["digest"] == plan.digest
