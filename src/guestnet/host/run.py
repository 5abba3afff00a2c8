"""The one door to other programs. No shell, ever; each failure names the program, what it said, and what to do."""

from __future__ import annotations

import os
import subprocess

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
