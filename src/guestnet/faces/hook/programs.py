"""The programs that the hook starts, its log, and how long it may take."""

import _signal  # type: ignore[import-not-found]  # has no stub: the module `signal` imports enum, which costs as much as all the rest
import os
import sys

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
RULES = "rules"  # the operation that is not libvirt's but guestnet.service's
LOG = "/var/log/guestnet/hook.log"
LOG_BYTES = 262144
children: set[int] = set()
limits: list[int] = []  # seconds that this run has; the last one counts


class HookError(Exception):
    """Something did not work; the text says what."""


def nft(text: str, quiet: bool = True) -> bool:
    """Whether nft took the text, in one transaction."""
    return feed(["nft", "-f", "-"], text, quiet=quiet)


def feed(argv: list[str], text: str, quiet: bool) -> bool:
    """Whether a program took the text."""
    read_end, write_end = os.pipe()
    pid = spawn(argv, (read_end, write_end), quiet=quiet)
    os.close(read_end)
    try:
        rest = text.encode()
        while rest:
            rest = rest[os.write(write_end, rest) :]
    except BrokenPipeError:
        pass  # nft ended early; its exit code says why
    finally:
        os.close(write_end)
    return wait(pid) == 0


def ask(argv: list[str]) -> tuple[int, int]:
    """Starts a program, for `hear`."""
    read_end, write_end = os.pipe()
    try:
        pid = spawn(argv, quiet=True, out=(write_end, read_end))
    except OSError:  # it is missing
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    return pid, read_end


def hear(asked: tuple[int, int]) -> str:
    """What a program prints; nothing when it fails."""
    pid, read_end = asked
    with open(read_end, errors="replace") as source:
        text = source.read()
    wait(pid)
    return text


def spawn(
    argv: list[str],
    pipe: tuple[int, int] | None = None,
    quiet: bool = False,
    out: tuple[int, int] | None = None,
) -> int:
    """Starts a program. Its errors go into the log, or to the unit, unless `quiet`. It reads from `pipe` and writes to
    `out`, each the end for it and the end for us, or from and to nothing."""
    actions: list[tuple[object, ...]] = []
    errors = None
    if out is None:
        actions.append((os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0))
    else:
        actions += [(os.POSIX_SPAWN_DUP2, out[0], 1), (os.POSIX_SPAWN_CLOSE, out[1])]
    if quiet:
        actions.append((os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0))
    elif not by_unit():
        errors = opened()
        actions.append((os.POSIX_SPAWN_DUP2, errors, 2))
    if pipe is None:
        actions.append((os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0))
    else:
        actions += [(os.POSIX_SPAWN_DUP2, pipe[0], 0), (os.POSIX_SPAWN_CLOSE, pipe[1])]
    try:
        pid = os.posix_spawnp(argv[0], argv, ENVIRONMENT, file_actions=actions)
    finally:
        if errors is not None:
            os.close(errors)
    children.add(pid)
    return pid


def wait(pid: int) -> int:
    status = os.waitpid(pid, 0)[1]
    children.discard(pid)
    return status


def limit(seconds: int) -> None:
    """This run ends within so many seconds from now."""
    limits.append(seconds)
    _signal.alarm(seconds)


def too_long(_number: int, _frame: object) -> None:
    for pid in children:
        os.kill(pid, 9)
    try:
        log(f"not done within {limits[-1]} s; given up. Run guestnet apply")
    finally:
        os._exit(int(by_unit()))


def by_unit() -> bool:
    """guestnet.service runs this, not libvirt."""
    return sys.argv[2:3] == [RULES]


def log(text: object) -> None:
    import time

    line = f"{' '.join(sys.argv[1:3])}: {text}".replace("\n", "\\n")  # a name must not forge a line
    out = opened()
    for where, said in ((out, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n"), (2, f"{line}\n")):
        if where == out or by_unit():
            try:
                os.write(where, said.encode(errors="backslashreplace"))
            except OSError:
                pass  # a full disk, or nobody who listens
    os.close(out)


def opened() -> int:
    """The log, to add to; nothing's where it can't be had. What is done for guests never depends on what is said of it.

    No link is followed, and no folder used that others can write: on some systems /var/log is a group's."""
    folder, _, file = LOG.rpartition("/")
    try:
        os.makedirs(folder, 0o750, exist_ok=True)
        there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(there)
            if found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise PermissionError(folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            out = os.open(file, flags, 0o640, dir_fd=there)
            if os.fstat(out).st_size > LOG_BYTES:
                os.rename(file, f"{file}.1", src_dir_fd=there, dst_dir_fd=there)
            return out
        finally:
            os.close(there)
    except OSError:
        return os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
