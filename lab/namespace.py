"""A process tree with its own network, mounts, processes and host name. It dies whole: with `stop`, or its maker.

The chain is setpriv, unshare, reaper. The kernel kills unshare when the thread that made it ends (so make a lab in the
main thread), then the reaper, which is process 1 of the tree, and with it all the rest. It must not touch the
namespaces it was started from.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import process, programs
from lab.errors import LabError
from lab.probe import Address, Answer, question, understand
from lab.process import Word, wait_for

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}
"""What commands in a lab see: the same on every machine, whatever the test runner's own environment holds."""

DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")

# Private mounts that every tree needs. /proc/sys is read-only but for net: the rest of it is not namespaced, so a
# sysctl written in a lab would change the machine.
PRIVATE = """
set -eu
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/lab
mount -t sysfs sysfs /sys
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind /proc/sys/net /proc/sys/net
mount -o remount,bind,rw /proc/sys/net
ip link set lo up
"""


@dataclass(frozen=True)
class Process:
    """A process told apart from a later one with the same id: its id and its start time (clock ticks since boot)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process with this id, None when there is none or it is only a zombie."""
        try:
            # Field 2 is the command in parentheses, and may hold blanks and parentheses itself.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] == "Z" else cls(pid, int(fields[19]))

    def alive(self) -> bool:
        return Process.of(self.pid) == self


class Namespace:
    """One such tree. With `parent` it is nested in that tree and dies with it, too."""

    def __init__(self, name: str, *, parent: Namespace | None = None) -> None:
        self.name = name
        self.parent = parent
        self._holder: subprocess.Popen[str] | None = None
        self._init: Process | None = None
        self._pidfd = -1
        self.on_start: Callable[[], None] = _nothing
        """Called at each start, as soon as the tree's process 1 is known and before anything is done in it."""

    # life

    def start(self) -> None:
        if self._holder is not None:
            raise LabError(f"{self.name} is already there")
        reaper = str(programs.path("reaper"))
        outer = self.parent.enter() if self.parent else []
        argv = [*DIE_WITH_PARENT, *outer, *UNSHARE, "--propagation", "private", reaper]
        self._holder = process.popen(argv, env=ENVIRONMENT)
        try:
            self._await_ready(self._holder)
            pid = _descendant(self._holder.pid, reaper)
            self._pidfd = os.pidfd_open(pid)
            self._init = Process.of(pid)
            self.on_start()
            self.run(["sh", "-c", f"hostname {self.name}\n{PRIVATE}"])
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything inside and wait until it is gone. Does nothing when it is gone already."""
        holder, self._holder, self._init = self._holder, None, None
        if holder is None:
            return
        if self._pidfd >= 0:
            # Killing process 1 kills the tree, and it is reaped only after all the others are.
            _kill(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        try:
            holder.wait(timeout=10)
        except subprocess.TimeoutExpired:
            pass
        finally:
            holder.kill()
            holder.communicate()

    @property
    def running(self) -> bool:
        return self._init is not None and self._init.alive()

    @property
    def init(self) -> Process:
        """Process 1 of the tree, with the id it has outside."""
        if self._init is None:
            raise LabError(f"{self.name} is not running")
        return self._init

    @property
    def holder_pid(self) -> int:
        """The process whose end takes the tree with it: the one that this process started."""
        if self._holder is None:
            raise LabError(f"{self.name} is not running")
        return self._holder.pid

    # commands

    def enter(self) -> list[str]:
        """The words that, put before a command, run it inside; it dies when the process they make is killed."""
        target = str(self.init.pid)
        return ["nsenter", "-t", target, "-n", "-m", "-p", "-u", "-i", "--", *DIE_WITH_PARENT, "--"]

    def run(
        self,
        argv: Sequence[Word],
        *,
        check: bool = True,
        input: str | None = None,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, at /, to its end; `env` adds to ENVIRONMENT. See process.run."""
        return process.run(
            [*self.enter(), *argv],
            check=check,
            input=input,
            timeout=timeout,
            env={**ENVIRONMENT, **(env or {})},
            where=self.name,
            shown=argv,
        )

    def shell(self, script: str, *, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell script inside; it stops at the first command that fails."""
        return self.run(["sh", "-euc", script], check=check, timeout=timeout)

    def popen(
        self,
        argv: Sequence[Word],
        *,
        stdin: int | None = subprocess.DEVNULL,
        stdout: int | None = subprocess.PIPE,
        stderr: int | None = subprocess.PIPE,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command inside. `.kill()` on it kills the command, too; for a gentler signal use `send_signal`."""
        full = {**ENVIRONMENT, **(env or {})}
        return process.popen([*self.enter(), *argv], stdin=stdin, stdout=stdout, stderr=stderr, env=full)

    def send_signal(self, started: subprocess.Popen[str], number: signal.Signals) -> None:
        """Send a signal to the command that `popen` started; nsenter stands between and would not pass it on."""
        for child in wait_for(f"{started.args!r} to run", lambda: _children(started.pid)):
            os.kill(child, number)

    def alive(self, pid: int) -> bool:
        """Whether a process lives, by the id it has inside; zombies do not count."""
        try:
            state = self.path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        return state != "Z"

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL, *, timeout: float = 45) -> None:
        """Send a signal to a process, by the id it has inside, and wait until it is gone."""
        if pid <= 1:
            raise LabError(f"{self.name}: refused to signal process {pid}")
        self.run(["kill", f"-{number.value}", str(pid)], check=self.alive(pid))
        wait_for(
            f"the end of process {pid} in {self.name}", lambda: not self.alive(pid), timeout=timeout, interval=0.02
        )

    # files

    def path(self, inside: str | Path) -> Path:
        """Where a file of the tree is reached from outside. Absolute symbolic links in it would leave the tree."""
        return Path(f"/proc/{self.init.pid}/root") / str(inside).lstrip("/")

    def read(self, path: str | Path) -> str:
        return self.path(path).read_text()

    def write(self, path: str | Path, text: str, *, mode: int = 0o644) -> None:
        """Write a file, and make the directories above it."""
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def exists(self, path: str | Path) -> bool:
        return self.path(path).exists()

    # network

    def sysctl(self, key: str, value: int | str | None = None) -> str:
        """Read, or write and read, a key below net written with slashes: ipv4/ip_forward, ipv6/conf/up0/accept_ra."""
        # Which network's values /proc/sys/net shows depends on who reads, so it must be read inside.
        file = f"/proc/sys/net/{key}"
        if value is not None:
            self.run(["sh", "-c", 'echo "$1" > "$2"', "sh", str(value), file])
        return self.run(["cat", file]).stdout.strip()

    def echo(self, *ports: int, name: str | None = None) -> int:
        """Answer on these ports, TCP and UDP, both families; returns the service's process id for `kill`."""
        argv = [str(programs.path("echo")), name or self.name, *map(str, ports)]
        return int(self.run(argv).stdout)

    def probe(
        self,
        protocol: str,
        address: str | Address,
        port: int,
        *,
        source: str | Address | None = None,
        timeout: float = 3.0,
    ) -> Answer:
        """Ask whether a port answers, from here; see Answer. `source` is one of the addresses here."""
        argv = question(str(programs.path("probe")), protocol, address, port, source, timeout)
        return understand(self.run(argv, check=False, timeout=timeout + 10))

    def _await_ready(self, holder: subprocess.Popen[str]) -> None:
        assert holder.stdout is not None  # noqa: S101  popen makes the pipe
        readable, _, _ = select.select([holder.stdout], [], [], 10)
        if not readable or holder.stdout.readline() != "ready\n":
            holder.kill()
            raise LabError(f"no namespace for {self.name} (root is needed): {holder.communicate()[1].strip()}")


def connect(one: Namespace, one_nic: str, other: Namespace, other_nic: str) -> None:
    """Make a pair of NICs, both down, one in each namespace. Neither is ever in the machine's own network."""
    # Only the network of `one` is entered: the kernel looks the other's process id up among the caller's processes.
    enter = ["nsenter", "-t", str(one.init.pid), "-n", "--"]
    pair = ["ip", "link", "add", one_nic, "type", "veth", "peer", "name", other_nic, "netns", str(other.init.pid)]
    process.run([*enter, *pair], env=ENVIRONMENT, where=one.name)


def end(found: Process) -> None:
    """Kill process 1 of a tree that an earlier process made, if it still is that process and not in our own network."""
    try:
        pidfd = os.pidfd_open(found.pid)
    except ProcessLookupError:
        return
    try:
        # Looked at after the descriptor was opened: it stays on the process that was looked at.
        if not found.alive():
            return
        ours, theirs = network_of("self"), network_of(found.pid)
        if not ours or not theirs or ours == theirs:
            return
        _kill(pidfd)
        wait_for(f"the end of process {found.pid}", lambda: not found.alive())
    finally:
        os.close(pidfd)


def network_of(pid: int | str) -> str:
    """The name of a process's network namespace, empty when it cannot be known."""
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


def _nothing() -> None:
    return None


def _kill(pidfd: int) -> None:
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _program_of(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""


def _descendant(pid: int, program: str) -> int:
    """The descendant of a process that runs `program`: a nested tree's process 1 knows itself only as 1."""
    generation = [pid]
    while generation:
        for found in generation:
            if _program_of(found) == program:
                return found
        generation = [child for found in generation for child in _children(found)]
    raise LabError(f"no {program} below process {pid}")
