"""The one place of the lab that starts processes, and the one that waits for conditions. It knows no namespaces."""

from __future__ import annotations

import gzip
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

from lab.errors import CommandError, LabError, WaitError

Found = TypeVar("Found")
Word = str | Path


def run(  # noqa: PLR0913  by keyword, all but one
    argv: Sequence[Word],
    *,
    check: bool = True,
    input: str | None = None,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    where: str = "this machine",
    shown: Sequence[Word] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. `shown` replaces argv in results and errors, `where` says in errors where it ran.

    Raises CommandError when `check` and the exit code is not 0, LabError when it takes longer than `timeout` seconds.
    """
    words = [str(word) for word in argv]
    display = [str(word) for word in shown or argv]
    try:
        done = subprocess.run(  # noqa: S603  a lab runs what its test says; no shell is involved
            words,
            check=False,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=None if env is None else dict(env),
            cwd=cwd,
        )
    except subprocess.TimeoutExpired as expired:
        raise LabError(
            f"in {where}: {' '.join(display)}\nstill running after {timeout} s\n"
            f"stdout: {_text(expired.stdout)}\nstderr: {_text(expired.stderr)}"
        ) from expired
    result = subprocess.CompletedProcess(display, done.returncode, done.stdout, done.stderr)
    if check and result.returncode != 0:
        raise CommandError(result, where)
    return result


def pack(names: str, *, cwd: Path, out: IO[bytes]) -> None:
    """Write the files with these names, one a line, below `cwd` into a compressed cpio archive for the kernel."""
    done = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"],  # noqa: S607  found on PATH, as every tool of a lab
        check=False,
        input=names.encode(),
        capture_output=True,
        cwd=cwd,
    )
    if done.returncode != 0:
        raise LabError(f"cpio: exit code {done.returncode}: {done.stderr.decode(errors='replace')}")
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1, mtime=0) as archive:
        archive.write(done.stdout)


def popen(
    argv: Sequence[Word],
    *,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start a command and return at once. It gets its own session: a Ctrl-C at the terminal is ours to handle."""
    return subprocess.Popen(  # noqa: S603  a lab runs what its test says; no shell is involved
        [str(word) for word in argv],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        errors="replace",
        env=None if env is None else dict(env),
        start_new_session=True,
    )


def wait_for(what: str, look: Callable[[], Found | None], *, timeout: float = 10, interval: float = 0.05) -> Found:
    """Call `look` until it returns something that is neither None nor False nor empty, and return that.

    Raises WaitError, which says `what` and how long, after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise WaitError(f"{what}: not within {timeout:g} s")
        time.sleep(interval)


def _text(output: str | bytes | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
