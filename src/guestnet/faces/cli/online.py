"""What the verbs that look at the host share: the order of refusals, the connection, the survey."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from guestnet.act.survey import Wish
from guestnet.faces.cli.options import Options
from guestnet.host.libvirt import SYSTEM, Libvirt
from guestnet.host.run import ENVIRONMENT, PACKAGES, need_root
from guestnet.host.trust import need_trusted
from guestnet.spec import load
from guestnet.words.problems import GuestnetError


@contextlib.contextmanager
def host(options: Options, verb: str) -> Iterator[Libvirt]:
    """A connection to libvirt, after what is missing was named: root, programs, the daemon."""
    need_root(verb)
    need_trusted(options.file)
    missing = [name for name in PACKAGES if shutil.which(name, path=ENVIRONMENT["PATH"]) is None]
    if missing:
        packages = " ".join(dict.fromkeys(PACKAGES[name] for name in missing))
        raise GuestnetError(f"programs are missing: {', '.join(missing)}", f"install them: apt install {packages}")
    with Libvirt(options.uri or SYSTEM) as libvirt:
        yield libvirt


def wish(options: Options) -> Wish:
    source = load.read(Path(options.file))
    return Wish(load.load_spec(source, options.file), source.decode(errors="replace"))


def agreed(question: str, yes: bool) -> bool:
    """Whether to go on: `--yes`, or a yes at the terminal; without either it refuses to guess."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise GuestnetError("there is no terminal to ask at", "say --yes to go on without being asked")
    print(f"{question} [y/N] ", end="", flush=True, file=sys.stderr)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
