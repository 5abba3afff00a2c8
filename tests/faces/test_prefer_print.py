"""`guestnet prefer-ipv6 --print` and `render --only gai`, which need nobody; and what is refused at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestnet.decide.select.gaiconf import parse
from guestnet.faces import cli
from guestnet.spec.document import load

SPEC = Path(__file__).parent.parent / "golden" / "097-prefer-ipv6" / "spec.yaml"
LABEL = "label fd12:8848:a2a2::/48 1"


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.run(["-f", str(SPEC), *argv])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "prefer-ipv6", "web1", "--print", "file")
    assert code == 0
    assert LABEL in out.splitlines()
    assert parse(out.encode()).odd == ()
    assert out in run(capsys, "render", "--only", "gai")[1]


def test_cloud_init(capsys: pytest.CaptureFixture[str]) -> None:
    _, file, _ = run(capsys, "prefer-ipv6", "web1", "--print", "file")
    code, out, _ = run(capsys, "prefer-ipv6", "web1", "--print", "cloud-init")
    assert code == 0
    assert out.startswith("#cloud-config\n")
    written = {"path": "/etc/gai.conf", "permissions": "0644", "content": file}
    assert load(out.encode(), "user-data").data == {"write_files": [written]}


def test_shell(capsys: pytest.CaptureFixture[str]) -> None:
    """It is run in tests/live/test_prefer.py."""
    code, out, _ = run(capsys, "prefer-ipv6", "web1", "--print", "shell", "--name", "www.example.org")
    assert code == 0
    assert out.endswith("getent ahosts www.example.org\n")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["inside", "--print", "file"], "guest inside: its IPv6 does not get out: isolated"),
        (["outside", "--print", "file"], "every resolver in it tries IPv6 first by itself"),
        (["web2", "--print", "file"], 'there is no guest web2 in SPEC (did you mean "web1"?)'),
        (["web1", "--print", "file", "--undo"], "--undo and --print do not go together"),
        (["web1", "--name", "-rf"], "-rf is no name of a host"),
        (["web1", "--name", "a b;c"], "a b;c is no name of a host"),
    ],
)
def test_refused(capsys: pytest.CaptureFixture[str], argv: list[str], says: str) -> None:
    code, out, err = run(capsys, "prefer-ipv6", *argv)
    assert (code, out) == (1, "")
    assert says.replace("SPEC", str(SPEC)) in err
