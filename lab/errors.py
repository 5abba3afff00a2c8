"""The lab's errors. It must import nothing of the lab."""

from __future__ import annotations

import subprocess


class LabError(Exception):
    """The lab could not be built or used; the message says what was tried and what came back."""


class CommandError(LabError):
    """A command ended with another exit code than 0. The message holds the command, the code and both outputs."""

    def __init__(self, done: subprocess.CompletedProcess[str], where: str) -> None:
        self.done = done
        self.returncode = done.returncode
        self.stdout = done.stdout
        self.stderr = done.stderr
        command = " ".join(str(word) for word in done.args)
        super().__init__(
            f"in {where}: {command}\nexit code {done.returncode}\nstdout: {done.stdout}\nstderr: {done.stderr}"
        )


class WaitError(LabError):
    """Something that should have come about in time did not."""
