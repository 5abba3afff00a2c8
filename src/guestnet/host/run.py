"""The one door to other programs. No shell, ever; each failure names the program, what it said, and what to do."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterable
from typing import Any

from guestnet.host import logs
from guestnet.words.problems import GuestnetError

# Fixed, because what runs as root must not depend on the caller's PATH; C, because messages are shown and compared.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
PACKAGES = {
    "python3": "python3",  # the hook's
    "nft": "nftables",
    "iptables": "iptables",
    "ip6tables": "iptables",
    "iptables-restore": "iptables",
    "ip6tables-restore": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
SELDOM = {"ssh": "openssh-client"}  # missed only by what needs it


class ProgramError(GuestnetError):
    """A program that ended with another exit code than 0."""


def run(*argv: str, given: str | None = None, timeout: float = 30) -> str:
    """Standard output of `argv`, with `given` as its standard input; `timeout` in seconds.

    Raises ProgramError when it fails, GuestnetError when it is missing or takes too long.
    """
    try:
        done = subprocess.run(  # noqa: S603  argv is a list, made by us; no shell
            argv, input=given, capture_output=True, text=True, timeout=timeout, check=False, env=ENVIRONMENT
        )
    except FileNotFoundError as error:
        package = PACKAGES.get(argv[0], argv[0])
        raise GuestnetError(f"the program {argv[0]} is missing", f"install it: apt install {package}") from error
    except PermissionError as error:
        raise GuestnetError(f"{argv[0]} may not be run", "run guestnet as root") from error
    except subprocess.TimeoutExpired as error:
        raise GuestnetError(f"{' '.join(argv[:4])} did not end within {timeout:.0f} s", "try again") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise ProgramError(f"{argv[0]}: {said}")
    return done.stdout


def detach(log: str, *argv: str) -> None:
    """Starts a program that lives on without us, our terminal and our session; what it says goes into the file `log`.
    Raises GuestnetError when it can't be started."""
    try:
        with os.fdopen(logs.adding(log), "ab") as out:
            # setsid forks once more, so that it is nobody's child.
            subprocess.run(  # noqa: S603  argv is a list, made by us; no shell
                ("setsid", "--fork", *argv),  # noqa: S607  found on our own fixed PATH
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=ENVIRONMENT,
                cwd="/",
                check=True,
                timeout=30,
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise GuestnetError(f"{argv[0]} can't be started: {error}", "see to it, then try again") from error


class Talk:
    """A program that answers each line of JSON with one, until `close`. It ends when its input does, which it also does
    when we are killed."""

    def __init__(self, *argv: str, keep: tuple[str, ...] = (), home: str = "") -> None:
        """keep: names of our own environment that it needs, too; home: its HOME, when it must have one."""
        # What it says on standard error; a pipe could fill up.
        self._complaints = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  closed by `close`
        self._heard = b""
        more = {"HOME": home} if home else {}
        try:
            # Not in our session: Ctrl-C is ours to handle, and then it ends because its input does.
            self._program = subprocess.Popen(  # noqa: S603  argv is a list, made by us; no shell
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                env=ENVIRONMENT | {name: os.environ[name] for name in keep if name in os.environ} | more,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            self._complaints.close()
            package = (PACKAGES | SELDOM).get(argv[0], argv[0])
            raise GuestnetError(f"the program {argv[0]} is missing", f"install it: apt install {package}") from error

    @property
    def lives(self) -> bool:
        return self._program.poll() is None

    @property
    def pid(self) -> int:
        return self._program.pid

    def fileno(self) -> int:
        """Of what it says; for select."""
        return self._program.stdout.fileno() if self._program.stdout else -1

    @property
    def answered(self) -> bool:
        """Whether a line of it has been read and not been heard."""
        return b"\n" in self._heard

    def say(self, **order: object) -> dict[str, Any]:
        """The answer to `order`. Raises GuestnetError when the program has ended, or refuses."""
        self.give(json.dumps(order) + "\n")
        return self.hear()

    def give(self, text: str) -> None:
        """Its input, as it is."""
        try:
            if self._program.stdin is None:
                raise BrokenPipeError
            self._program.stdin.write(text.encode())
            self._program.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._ended() from error

    def hear(self, within: float | None = None) -> dict[str, Any]:
        """Its next line; within: seconds after which it is killed. Raises GuestnetError as `say`."""
        line = self._line(within)
        try:
            answer = json.loads(line or "null")
        except ValueError as error:
            raise GuestnetError(f"a probe said what is no answer: {line.strip()[:200]}", "try again") from error
        if not isinstance(answer, dict):
            raise self._ended()
        if "error" in answer:
            raise GuestnetError(f"a probe failed: {answer['error']}", "try again")
        return answer

    def _line(self, within: float | None) -> str:
        end = None if within is None else time.monotonic() + within
        with contextlib.suppress(OSError, ValueError):  # it was closed
            while not self.answered:
                left = None if end is None else max(0.0, end - time.monotonic())
                if not select.select([self], [], [], left)[0]:
                    self._program.kill()
                chunk = os.read(self.fileno(), 65536)
                if not chunk:
                    break
                self._heard += chunk
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode(errors="replace")

    def close(self) -> None:
        """End it and wait until it is gone."""
        for pipe in (self._program.stdin, self._program.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        try:
            # At once, on an idle machine; what it does at its end, such as giving a lease back, must not be cut off.
            self._program.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()
        self._complaints.close()

    def _ended(self) -> GuestnetError:
        said = self.last_words()
        return GuestnetError(f"a probe ended before it was told to{f': {said}' if said else ''}", "try again")

    def last_words(self) -> str:
        """The last line that it wrote to standard error, once it has ended; empty when there is none."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._program.wait(timeout=1)
        if self._complaints.closed:
            return ""
        self._complaints.seek(0)
        return next((line.strip() for line in reversed(self._complaints.readlines()) if line.strip()), "")


def answering(talks: Iterable[Talk], within: float) -> list[Talk]:
    """Those that have answered, or ended; nobody when that takes longer than `within` seconds."""
    talks = list(talks)
    return [talk for talk in talks if talk.answered] or select.select(talks, [], [], within)[0]


class Monitor:
    """A program that prints as things happen, until `close`, or until we are gone, however that came."""

    def __init__(self, *argv: str) -> None:
        # It has no input whose end would tell it, so the kernel does: prctl(2), PR_SET_PDEATHSIG.
        self._program = subprocess.Popen(  # noqa: S603  argv is a list, made by us; no shell
            ("setpriv", "--pdeathsig", "TERM", "--", *argv),  # noqa: S607  found on our own fixed PATH
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Of the program itself: setpriv becomes it."""
        return self._program.pid

    def close(self) -> list[str]:
        """End it; the lines that it printed."""
        self._program.terminate()
        return self._program.communicate(timeout=10)[0].splitlines()


def succeeds(*argv: str, given: str | None = None) -> bool:
    """Whether the program says yes (exit code 0)."""
    try:
        run(*argv, given=given)
    except ProgramError:
        return False
    return True


def need_root(verb: str) -> None:
    """Raises GuestnetError unless this process is root."""
    if os.geteuid() != 0:
        raise GuestnetError(f"{verb} changes or reads what only root may", f"run it as root: sudo guestnet {verb}")
