"""The one door to other programs. No shell, ever; each failure names the program, what it said, and what to do."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from typing import Any

from guestnet.words.problems import GuestnetError

# Fixed, because what runs as root must not depend on the caller's PATH; C, because messages are shown and compared.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
PACKAGES = {
    "nft": "nftables",
    "iptables": "iptables",
    "ip6tables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
}


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


class Talk:
    """A program that answers each line of JSON with one, until `close`. It ends when its input does, which it also does
    when we are killed."""

    def __init__(self, *argv: str) -> None:
        # Not in our session: Ctrl-C is ours to handle, and then it ends because its input does.
        self._program = subprocess.Popen(  # noqa: S603  argv is a list, made by us; no shell
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._program.pid

    def say(self, **order: object) -> dict[str, Any]:
        """The answer to `order`. Raises GuestnetError when the program has ended, or refuses."""
        stdin, stdout = self._program.stdin, self._program.stdout
        try:
            if stdin is None or stdout is None:
                raise BrokenPipeError
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()
            answer = json.loads(stdout.readline() or "null")
        except (OSError, ValueError) as error:
            raise GuestnetError("a probe ended before it was told to", "try again") from error
        if not isinstance(answer, dict) or "error" in answer:
            raise GuestnetError(f"a probe failed: {(answer or {}).get('error', 'it ended')}", "try again")
        return answer

    def close(self) -> None:
        """End it and wait until it is gone."""
        for pipe in (self._program.stdin, self._program.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        try:
            self._program.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()


class Monitor:
    """A program that prints as things happen, until `close`."""

    def __init__(self, *argv: str) -> None:
        self._program = subprocess.Popen(  # noqa: S603  argv is a list, made by us; no shell
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True
        )

    def close(self) -> list[str]:
        """End it; the lines that it printed."""
        self._program.terminate()
        return self._program.communicate(timeout=10)[0].splitlines()


def succeeds(*argv: str) -> bool:
    """Whether the program says yes (exit code 0)."""
    try:
        run(*argv)
    except ProgramError:
        return False
    return True


def need_root(verb: str) -> None:
    """Raises GuestnetError unless this process is root."""
    if os.geteuid() != 0:
        raise GuestnetError(f"{verb} changes or reads what only root may", f"run it as root: sudo guestnet {verb}")
