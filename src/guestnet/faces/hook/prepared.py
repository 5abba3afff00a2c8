"""What `guestnet apply` prepared for each guest, in guestnet.compile.hookdata's format."""

import os

from guestnet.faces.hook.programs import HookError, log

COMPILED = "/var/lib/guestnet/compiled"
HOSTS = "/var/lib/libvirt/dnsmasq/guestnet-"
VERSION = "guestnet 1"
SOME = ("", "_from", "_range", "_from_range")
MAPS = (
    *(f"{kind}{some}{family}" for kind in ("on", "nic", "any") for some in SOME for family in "46"),
    *(f"{kind}{family}" for kind in ("whole", "source", "open", "open_from") for family in "46"),
    "loop4",
)
PARTS = "parts6"  # of the table, for prefix NAT
TABLE = "inet guestnet"
NOT_ASCII = 128
NOT_THERE = (2, 21, 36)  # ENOENT, EISDIR, ENAMETOOLONG: a guest not in the file, without a name, or with a longer one
unknown: set[str] = set()  # first words of prepared lines that mean nothing here


def trust() -> None:
    """What root alone may write: whoever else could, would act as root through it."""
    parts = ("guests", "now", "table.nft", "admit", "outside", "let_in.py", "bridges", "localnets")
    for path in (COMPILED, *(f"{COMPILED}/{name}" for name in parts)):
        try:
            found = os.stat(path)
        except FileNotFoundError:
            continue
        need_roots(found, path)


def need_roots(found: os.stat_result, path: str) -> None:
    if found.st_uid or found.st_mode & 0o022:
        raise HookError(f"others than root may write {path}, so nothing of it is used; run guestnet plan")


def lines(name: str, folder: str = "guests") -> list[str]:
    """The lines prepared for a guest; none when there is no file for it."""
    path = f"{COMPILED}/{folder}/{encoded(name)}"
    try:
        with open(path) as source:
            need_roots(os.fstat(source.fileno()), path)
            found = source.read().split("\n")
    except OSError as trouble:
        if trouble.errno in NOT_THERE:
            return []
        raise
    if found[0] != VERSION or found[-2:] != ["end", ""]:
        raise HookError(f"{name}: what was prepared for it is of another version, or cut short; run guestnet apply")
    return found[1:-2]


def nics(name: str) -> list[list[str]]:
    return [line.split(" ")[1:5] for line in lines(name) if line.startswith("nic ")]


def elements(name: str) -> dict[str, list[str]]:
    """Map -> its elements for this guest, as nft writes them."""
    found: dict[str, list[str]] = {}
    new: set[str] = set()
    for line in lines(name, "now") or lines(name):
        key, _, item = line.partition(" ")
        if key in MAPS:
            found.setdefault(key, []).append(item)
        elif key == "translated":
            found.setdefault(PARTS, []).append(item.partition(" ")[2])
        elif key not in ("nic", "ndp"):
            new.add(key)
    if new - unknown:
        log(f"{name}: {', '.join(sorted(new - unknown))}: prepared by another version, passed over; run guestnet apply")
        unknown.update(new)
    return found


def add(found: dict[str, list[str]], verb: str = "add") -> str:
    return "".join(f"{verb} element {TABLE} {key} {{ {', '.join(items)} }}\n" for key, items in found.items())


def encoded(name: str) -> str:
    """A name as a file name, as `guestnet.compile.dhcp.file_name` has it."""
    safe = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    parts = (bytes([byte]) if byte in safe or byte >= NOT_ASCII else b"%%%02X" % byte for byte in os.fsencode(name))
    return os.fsdecode(b"".join(parts))
