"""The verbs that need neither root nor libvirt, and the one error boundary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from guestnet.faces import bug, cli
from guestnet.spec import load

SEED = Path(__file__).parent.parent.parent / "examples" / "seed.yaml"


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.run(list(argv))
    out, err = capsys.readouterr()
    return code, out, err


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "-f", str(SEED), "check")
    assert (code, err) == (0, "")
    assert "1 network, 1 guest, 3 forwards" in out


def test_check_prints_every_problem_with_its_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("networks: {a: {mode: nat, ipv4: 192.168.1.1/33}}\nguests: {b: {network: c}}\n")
    code, out, err = run(capsys, "check", "-f", str(path))
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert [line.split(":")[1] for line in lines[:2]] == ["1", "2"]
    assert lines[2] == "2 problems, nothing was touched"
    code, out, _ = run(capsys, "--format", "json", "check", "-f", str(path))
    assert code == 1
    assert [problem["line"] for problem in json.loads(out)["problems"]] == [1, 2]


@pytest.mark.parametrize("only", ["xml", "nft", "dhcp"])
def test_render_prints_one_kind(capsys: pytest.CaptureFixture[str], only: str) -> None:
    sign = {"xml": "<network ", "nft": "table inet guestnet", "dhcp": "52:54:00:12:34:56,192.168.84.10,["}
    code, out, err = run(capsys, "-f", str(SEED), "render", "--only", only)
    assert code == 0
    assert [kind for kind, text in sign.items() if text in out] == [only]
    assert "not remembered" in err, "what was drawn for this look is noted"


def test_show_is_valid_input(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "-f", str(SEED), "show")
    assert code == 0
    (tmp_path / "shown.yaml").write_text(out)
    assert run(capsys, "-f", str(tmp_path / "shown.yaml"), "check")[0] == 0


def test_schema_fits_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "schema")
    schema = json.loads(out)
    assert code == 0
    assert set(schema["properties"]) == {"networks", "guests"}
    assert "mode" in schema["$defs"]["Network"]["required"]


@pytest.mark.parametrize("verb", ["check", "render", "show", "schema"])
def test_without_root_and_without_libvirt(verb: str, tmp_path: Path) -> None:
    """As nobody, in a process where the binding of libvirt can't even be imported."""
    code = "import sys; sys.modules['libvirt'] = sys.modules['pyroute2'] = None\n"
    code += "from guestnet.faces.cli import main; main()"
    file = tmp_path / "seed.yaml"
    file.write_text(SEED.read_text())

    # May read what root may: the checkout can be in /root, which is closed to others.
    read = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    nobody = ["setpriv", "--reuid", "65534", "--clear-groups", *read] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*nobody, sys.executable, "-c", code, "-f", str(file), verb],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "argv", [["nonsense"], ["check", "--nonsense"], ["--format", "xml", "check"], ["check", "too", "many"]]
)
def test_wrong_usage_is_64(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    code, out, err = run(capsys, *argv)
    assert (code, out) == (64, "")
    assert "--help" in err


@pytest.mark.parametrize("argv", [["--help"], ["apply", "--help"], ["--version"]])
def test_help_is_0(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert run(capsys, *argv)[0] == 0


def test_a_bug_is_3_with_a_log_and_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:

    def broken(_path: Path) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr(load, "read_spec", broken)
    monkeypatch.setattr(bug, "FOLDER", tmp_path)
    code, _, err = run(capsys, "check", "-f", str(SEED))
    assert code == 3
    assert "Traceback" not in err
    assert 'RuntimeError("oh")' in Path(err.split()[-1]).read_text()


def test_global_options_work_behind_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["check", "-f", str(SEED)], ["-f", str(SEED), "check"], ["check", f"--file={SEED}"]):
        assert run(capsys, *argv)[0] == 0
