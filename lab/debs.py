"""Debian packages, downloaded and unpacked and never installed: from the machine's own lists or another release's.

What is fetched here goes into the lab's cache. The machine's own apt, its lists and its packages, stays as it is.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import process
from lab.errors import LabError

KEYRING = "debian-archive-keyring"  # a package that every mirror of Debian has, and no archive of security updates
# Dependencies are followed through libraries only: the others would bring half a system.
LIBRARY = re.compile(r"lib|zlib")

# Read after the machine's own configuration, so that a proxy set there stays in force. The hooks would change the
# machine: Debian's container images, for one, empty its package cache after each update. And only Packages is fetched
# (Targets): apt-file would add every file's name.
PRIVATE = """
Dir::State "{directory}/state";
Dir::State::status "{directory}/status";
Dir::Cache "{directory}/cache";
Dir::Etc::sourcelist "{directory}/source.sources";
Dir::Etc::sourceparts "-";
Acquire::Languages "none";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""
SOURCE = """
Types: deb
URIs: {mirror}
Suites: {release}
Components: main
Targets: Packages
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


@dataclass(frozen=True)
class Apt:
    """apt's view of packages: with the machine's own lists, or with those that a configuration file names."""

    configuration: Path | None = None

    def download(self, packages: Iterable[str], into: Path) -> list[str]:
        """Download these packages, unpack them into a directory, and return their file names."""
        wanted = sorted(set(packages))
        with _for_apt("guestnet-lab-packages-") as debs:
            self._run("apt-get", "-q", "download", *wanted, cwd=debs, timeout=600)
            files = sorted(debs.glob("*.deb"))
            if len(files) != len(wanted):
                raise LabError(f"apt-get download brought {len(files)} packages, not {len(wanted)}: {' '.join(wanted)}")
            for file in files:
                process.run(["dpkg-deb", "-x", file, into])
        return [file.name for file in files]

    def newest(self, package: str, pattern: str) -> str:
        """The package with a version in its name that an empty package depends on, as linux-image-amd64 does."""
        found = re.search(rf"Depends: ({pattern})$", self._run("apt-cache", "depends", package).stdout, re.MULTILINE)
        if not found:
            raise LabError(f"{package} depends on no {pattern}")
        return found[1]

    def libraries(self, packages: Iterable[str]) -> set[str]:
        """The libraries that packages depend on, and those that these depend on."""
        found: set[str] = set()
        todo = sorted(packages)
        while todo:
            lines = self._run("apt-cache", "depends", "--important", *todo).stdout.splitlines()
            names = {line.split()[-1] for line in lines if "Depends: " in line and "<" not in line}
            todo = sorted(name for name in names - found if LIBRARY.match(name) and ":" not in name)
            found.update(todo)
        return found

    def mirror(self) -> str:
        """The address that Debian's own packages come from."""
        shown = self._run("apt-get", "-q", "--print-uris", "download", KEYRING).stdout
        found = re.search(r"'(\S+)/pool/", shown)
        if not found:
            raise LabError(f"apt does not say where it has {KEYRING} from:\n{shown}")
        return found[1]

    def update(self) -> None:
        self._run("apt-get", "-q", "update", timeout=300)

    def knows(self, package: str) -> bool:
        shown = self._run("apt-cache", "show", package, check=False)
        return shown.returncode == 0 and bool(shown.stdout)

    def _run(
        self, program: str, *arguments: str, check: bool = True, cwd: Path | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        options = ["-c", str(self.configuration)] if self.configuration else []
        return process.run([program, *options, *arguments], check=check, cwd=cwd, timeout=timeout)


def own() -> Apt:
    """The machine's own view. A fresh machine or container has no lists: they are fetched then."""
    apt = Apt()
    if not apt.knows(KEYRING):
        apt.update()
    return apt


@contextmanager
def release(name: str) -> Iterator[Apt]:
    """Another release's view, from the mirror that the machine's own packages come from; its lists go at the end."""
    with _for_apt(f"guestnet-lab-{name}-") as directory:
        (directory / "state").mkdir()
        (directory / "status").touch()
        (directory / "source.sources").write_text(SOURCE.format(mirror=own().mirror(), release=name))
        configuration = directory / "apt.conf"
        configuration.write_text(PRIVATE.format(directory=directory))
        apt = Apt(configuration)
        apt.update()
        yield apt


@contextmanager
def _for_apt(prefix: str) -> Iterator[Path]:
    """A temporary directory where apt's own user, as whom it downloads, can write."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        directory = Path(name)
        try:
            shutil.chown(directory, "_apt")
        except LookupError:
            directory.chmod(0o755)
        yield directory
