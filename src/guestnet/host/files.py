"""The one door to files that are written. Each is put in place whole: temporary name, fsync, rename, folder fsync; and
what a function here has made or removed stays so when the power goes after it.

A reader, dnsmasq or the hook, sees the old text or the new one, never half. Temporary names begin with a dot, which
dnsmasq passes over.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from guestnet.decide.state import File
from guestnet.words.problems import ConflictError, GuestnetError
from guestnet.words.remedy import remedy


def read(path: str) -> File | None:
    """The file at `path`, or None when there is none (or no text that we could have written)."""
    try:
        with open(path, "rb") as source:  # noqa: PTH123  one open for text and mode: they belong together
            mode = os.fstat(source.fileno()).st_mode & 0o7777
            return File(source.read().decode(), mode)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except UnicodeDecodeError:
        return File("(not text)", 0)
    except OSError as error:
        raise GuestnetError(f"{path}: {error.strerror}", remedy(error)) from error


def write(path: str, file: File, *, keep_time: bool = False, over: str | None = None) -> None:
    """Raises GuestnetError with the reason when the file can't be written; then the old one is still there.

    `keep_time`: the time of change stays that of the file it replaces. `over`: that one is somebody's, whose it stays,
    and holds this text; ConflictError if it does not any more.
    """
    target = Path(path)
    temporary = temporary_of(target)
    try:
        _folders(target.parent)
        descriptor = new(temporary)
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as out:
                out.write(file.text.encode())
            os.fchmod(descriptor, file.mode)
            if keep_time and target.exists():
                os.utime(descriptor, (target.stat().st_mtime, target.stat().st_mtime))
            if over is not None:
                os.fchown(descriptor, target.stat().st_uid, target.stat().st_gid)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if over is not None and target.read_bytes() != over.encode():
            raise ConflictError(f"{path} was changed meanwhile by somebody else", "look at it, then try again")
        temporary.rename(target)
        sync(target.parent)
    except BaseException as error:
        # Also when we are told to end: what was begun leaves nothing.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise GuestnetError(f"{path} can't be written: {error.strerror}", remedy(error)) from error


def remove(path: str) -> None:
    """Removes the file if it is there, and folders above it that this leaves empty, as far as they are ours to make."""
    target = Path(path)
    try:
        for one in (target, temporary_of(target)):  # what a killed run left, too
            one.unlink(missing_ok=True)
        if target.parent.is_dir():
            sync(target.parent)
            _prune(target.parent)
    except OSError as error:
        raise GuestnetError(f"{path} can't be removed: {error.strerror}", remedy(error)) from error


def link(path: str, target: str) -> None:
    """Makes a symbolic link, or turns one that is there; never replaces anything else."""
    try:
        _folders(Path(path).parent)
        if Path(path).is_symlink():
            Path(path).unlink()
        Path(path).symlink_to(target)
        sync(Path(path).parent)
    except OSError as error:
        raise GuestnetError(f"{path} can't be made: {error.strerror}", remedy(error)) from error


def make_folder(path: str) -> None:
    try:
        _folders(Path(path))
        Path(path).chmod(0o755)
    except OSError as error:
        raise GuestnetError(f"{path} can't be made: {error.strerror}", remedy(error)) from error


def new(path: Path) -> int:
    """A descriptor of a file that nobody else has open, in the place of whatever was there. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileExistsError:
        path.unlink()  # of a killed run, or made by somebody who would write through it later
        return os.open(path, flags, 0o600)


def temporary_of(target: Path) -> Path:
    """The name under which it is written, before it is renamed."""
    return target.with_name(f".{target.name}.guestnet-new")


def mode(path: str) -> int:
    """The permission bits of a file or folder that is there."""
    return Path(path).stat().st_mode & 0o7777


def remove_folder(path: str) -> None:
    """Removes the folder if it is there; temporaries of a killed run in it go too."""
    folder = Path(path)
    try:
        for leftover in folder.glob(".*.guestnet-new"):
            leftover.unlink(missing_ok=True)
        folder.rmdir()
        sync(folder.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise GuestnetError(
            f"{path} can't be removed: {error.strerror}", "see what is in it, then try again"
        ) from error


def names(folder: str) -> list[str]:
    """Paths of the files in a folder, sorted, without temporaries; empty when there is no folder."""
    try:
        return sorted(str(path) for path in Path(folder).iterdir() if path.is_file() and not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def folders(prefix: str) -> list[str]:
    """Paths of the folders that begin with `prefix`, sorted."""
    start = Path(prefix)
    return sorted(str(path) for path in start.parent.glob(f"{start.name}*") if path.is_dir())


def _folders(folder: Path) -> None:
    if folder.is_dir():
        return
    _folders(folder.parent)
    folder.mkdir(mode=0o755, exist_ok=True)
    folder.chmod(0o755)  # whatever the umask: dnsmasq reads as another user
    sync(folder.parent)  # an fsync of what is in it says nothing of its own name: fsync(2)


def _prune(folder: Path) -> None:
    """Empty folders of ours go with their last file: hooks, what is compiled, guests' records, completions."""
    shells = {"bash-completion", "completions", "zsh", "site-functions", "fish"}
    while folder.name in {"qemu.d", "network.d", "guests", "now", "compiled", "prefer-ipv6"} | shells:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def sync(folder: Path) -> None:
    """What was renamed, made or removed in it stays so after a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
