"""`guestnet prefer-ipv6 --print` and `render --only gai`, which need nobody; and what is refused at once."""

from __future__ import annotations

import subprocess
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


class Script:
    """What `--print shell` prints, run on a folder instead of /etc; in a guest: tests/live/test_prefer.py. Its getent
    is made up: this machine's own would go by this machine's gai.conf."""

    def __init__(self, etc: Path, text: str) -> None:
        self.etc, self.file = etc / "etc", etc / "etc" / "gai.conf"
        self.answer = "2001:db8::1     STREAM www\n192.0.2.1       STREAM www"
        self._path, self._text = etc / "bin", text.replace("/etc/", f"{self.etc}/")
        self.etc.mkdir()
        self._path.mkdir()

    def run(self) -> tuple[int, str]:
        getent = self._path / "getent"
        getent.write_text(f"#!/bin/sh\necho '{self.answer}'\n")
        getent.chmod(0o755)
        env = {"PATH": f"{self._path}:/usr/bin:/bin"}
        done = subprocess.run(["/bin/sh"], input=self._text.encode(), env=env, capture_output=True, check=False)
        assert [one.name for one in self.etc.iterdir() if one != self.file] == []
        return done.returncode, done.stderr.decode()


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Script:
    code, out, _ = run(capsys, "prefer-ipv6", "web1", "--print", "shell", "--name", "www.example.org")
    assert code == 0
    return Script(tmp_path, out)


def test_shell(capsys: pytest.CaptureFixture[str], script: Script) -> None:
    """Again and again, with what was there kept to the byte, and its mode."""
    own = b"# \xe4lter als UTF-8\n#label ::1/128 0\n#precedence ::ffff:0:0/96 100\nlast line without an end"
    file = run(capsys, "prefer-ipv6", "web1", "--print", "file")[1].encode()
    assert script.run() == (0, "")
    assert script.file.read_bytes() == file
    assert script.file.stat().st_mode & 0o777 == 0o644
    script.file.write_bytes(own)
    script.file.chmod(0o640)
    for _ in range(2):
        assert script.run() == (0, "")
        assert script.file.read_bytes() == file + own
        assert script.file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (b"# guestnet begin\nreload yes\n# their own\n", "a mark of guestnet's that stands alone"),
        (b"reload yes\n# guestnet end\n", "a mark of guestnet's that stands alone"),
        (b"# guestnet begin\n# guestnet begin\nreload yes\n# guestnet end\n", "a mark of guestnet's that stands alone"),
        (b"precedence ::ffff:0:0/96 100\n", "precedence lines of its own"),
        (b"label fc00::/7 6\n", f"add only: {LABEL}"),
    ],
)
def test_shell_leaves_alone_what_it_cannot_judge(script: Script, own: bytes, says: str) -> None:
    script.file.write_bytes(own)
    code, err = script.run()
    assert code == 1
    assert says in err
    assert script.file.read_bytes() == own


def test_shell_leaves_a_link(script: Script, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"# theirs\n")
    script.file.symlink_to(tmp_path / "elsewhere")
    code, err = script.run()
    assert (code, script.file.is_symlink(), "is a link" in err) == (1, True, True)
    assert (tmp_path / "elsewhere").read_bytes() == b"# theirs\n"


@pytest.mark.parametrize("own", [None, b"reload yes\n"])
def test_shell_puts_back_what_did_not_help(script: Script, own: bytes | None) -> None:
    if own is not None:
        script.file.write_bytes(own)
    script.answer = "192.0.2.1       STREAM www"
    code, err = script.run()
    assert code == 1
    assert "IPv4 first for www.example.org all the same; it is as it was" in err
    assert (script.file.read_bytes() if script.file.exists() else None) == own


def test_shell_says_that_it_could_not_see(script: Script) -> None:
    script.answer = ""
    code, err = script.run()
    assert (code, LABEL in script.file.read_text().splitlines()) == (1, True)
    assert "is written; www.example.org has no address here to see it by" in err


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
