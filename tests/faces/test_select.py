"""`guestnet select`: the seed's worked example on the screen, cases in JSON, and what it refuses."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from guestnet.decide.prefer import record
from guestnet.faces import cli

ROOT = Path(__file__).parent.parent.parent
SEED = ROOT / "examples" / "seed.yaml"
CASES = ROOT / "tests" / "data" / "address-selection.json"
SCREEN = ROOT / "tests" / "golden" / "310-select"
OWN = ["--from", "192.168.122.154/24", "--from", "fd12:8848:a2a2:1::74/64"]
IDENT_ME = ["2a01:4f8:c0c:bd0a::1", "49.12.234.183"]


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.run(["select", *argv])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("name", "argv"),
    [
        ("seed", [*OWN, *IDENT_ME]),
        ("seed-label-alone", [*OWN, "--gai-conf", str(SCREEN / "label-alone.conf"), *IDENT_ME]),
        ("seed-full-table", [*OWN, "--gai-conf", str(SCREEN / "full-table.conf"), *IDENT_ME]),
        ("seed-precedence-only", [*OWN, "--gai-conf", str(SCREEN / "precedence-only.conf"), *IDENT_ME]),
        ("seed-update", [*OWN, "--policy", "rfc6724-update", *IDENT_ME]),
    ],
)
def test_golden(
    capsys: pytest.CaptureFixture[str], name: str, argv: list[str], golden_update: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SCREEN)
    code, out, err = run(capsys, *[Path(word).name if word.endswith(".conf") else word for word in argv])
    assert (code, err) == (0, "")
    path = SCREEN / f"{name}.txt"
    if golden_update:
        path.write_text(out)
    assert out == path.read_text()


def test_a_guest_of_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "-f", str(SEED), "web1", *IDENT_ME)
    assert code == 0
    assert out.startswith("web1 (glibc, no gai.conf of its own) asks for 2a01:4f8:c0c:bd0a::1, 49.12.234.183")
    assert " 1  49.12.234.183         from 192.168.84.10 " in out


@pytest.mark.parametrize(
    ("libc", "argv", "head"),
    [
        ("musl", [], "web1 (musl, as prefer-ipv6 met it) asks"),
        ("windows", [], "web1 (rfc6724, as prefer-ipv6 met it) asks"),
        ("", [], "web1 (glibc, no gai.conf of its own) asks"),
        ("musl", ["--policy", "glibc"], "web1 (glibc, no gai.conf of its own) asks"),
        ("windows", ["--policy", "go"], "web1 (go) asks"),
    ],
)
def test_a_guest_that_prefer_ipv6_refused(  # noqa: PLR0913, PLR0917  fixtures
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    libc: str,
    argv: list[str],
    head: str,
) -> None:
    """What it was met as goes, and it is not sent to prefer-ipv6 again."""
    monkeypatch.setattr(record, "FOLDER", str(tmp_path))
    refused = record.Record("web1", "u1", refused="it has no gai.conf", libc=libc)
    Path(record.path_of("web1")).write_text(record.to_text(refused))
    code, out, _ = run(capsys, "-f", str(SEED), *argv, "web1", *IDENT_ME)
    assert code == 0
    assert out.startswith(head)
    assert "guestnet prefer-ipv6" not in out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--format", "json", *OWN, *IDENT_ME)
    found = json.loads(out)
    assert code == 0
    assert found["order"][0] == {
        "address": "49.12.234.183",
        "source": "192.168.122.154",
        "label": [4, 4],
        "scope": [14, 14],
        "precedence": 10,
    }
    assert found["pairs"] == [{"first": "49.12.234.183", "second": "2a01:4f8:c0c:bd0a::1", "rule": 5}]
    assert found["fix"]["order"][0]["address"] == "2a01:4f8:c0c:bd0a::1"
    assert found["resolvers"]["musl"][0] == "49.12.234.183"


def test_cases(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cases = json.loads(CASES.read_text())["cases"]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    code, out, _ = run(capsys, "--case", str(tmp_path / "cases.json"))
    assert (code, json.loads(out)) == (0, [case["expect"] for case in cases])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(cases[0]).encode())))
    code, out, _ = run(capsys, "--case", "-")
    assert (code, json.loads(out)) == (0, cases[0]["expect"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]x", "not JSON"),
        ("3", "no JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"dests": [], "ifaces": [{"kind": "tun", "arphrd": "sit"}]}', "arphrd is no number"),
        ("{}", "dests: no list"),
        ('{"dests": ["x"]}', "dests: 'x' does not appear"),
        ('{"dests": [], "ifaces": [{"addrs": ["10.0.0.1/33"]}]}', "eth0: "),
        ('{"dests": ["::1"], "routes": ["::/0 dev eth7"]}', "there is no interface eth7"),
        ('{"dests": [], "gai_conf": 3}', "gai_conf: neither text nor null"),
    ],
)
def test_a_wrong_case_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "case.json").write_text(text)
    code, out, err = run(capsys, "--case", str(tmp_path / "case.json"))
    assert (code, out) == (1, "")
    assert said in err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "nobody is named"),
        (["-f", str(SEED), "wb1", "::1"], 'did you mean "web1"?'),
        (["-f", str(SEED), "web1"], "there is nothing to resolve"),
        ([*OWN, "no.such.name.invalid"], "name addresses instead"),
        (["--from", "10.0.0.300", "::1"], "--from 10.0.0.300"),
        ([*OWN, "--gai-conf", "/nonexistent", "::1"], "/nonexistent: No such file"),
    ],
)
def test_what_it_refuses(capsys: pytest.CaptureFixture[str], argv: list[str], said: str) -> None:
    code, out, err = run(capsys, *argv)
    assert (code, out) == (1, "")
    assert said in err


def test_a_lone_surrogate_is_only_an_odd_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "case.json").write_text('{"dests": ["::1"], "gai_conf": "label \\ud800 1"}')
    assert run(capsys, "--case", str(tmp_path / "case.json")) == (0, '["::1"]\n', "")


def test_odd_lines_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "gai.conf").write_bytes(b"label fd00::/8 1\nlabel 10.0.0.0/8 1\n" + b"x\n" * 30)
    code, _, err = run(capsys, *OWN, "--gai-conf", str(tmp_path / "gai.conf"), *IDENT_ME)
    assert code == 0
    assert "gai.conf: line 2: label 10.0.0.0/8 1: plain IPv4; dropped" in err
    assert err.endswith("gai.conf: 11 more lines are not as they seem\n")
