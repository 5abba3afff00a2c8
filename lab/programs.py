"""The lab's C programs (echo, probe, reaper...), compiled statically so that they run in every root file system."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lab import process
from lab.cache import LAB, digest, made

SOURCES = LAB / "programs"
COMPILE = ("gcc", "-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o")


@cache
def path(name: str) -> Path:
    """The compiled program `name`; compiles all of them at the first call after a change."""
    sources = sorted(SOURCES.glob("*.c"))
    key = digest([*COMPILE, *(source.read_bytes() for source in sources)])

    def build(into: Path) -> None:
        for source in sources:
            process.run([*COMPILE, into / source.stem, source])

    return made("programs", key, build) / name
