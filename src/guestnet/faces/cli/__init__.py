"""The command line: one file a verb, and here the one error boundary.

Exit codes: 0 done or nothing to do, 1 refused or failed, 2 changes pending (`plan --detailed-exitcode`), 3 a bug of
ours with the path of a log, 64 wrong usage, 130 interrupted. Data goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

from guestnet.faces.aside import say
from guestnet.words.problems import GuestnetError

if TYPE_CHECKING:
    from guestnet.faces.cli.document import Document

USAGE, BUG, INTERRUPTED = 64, 3, 130
COMPLETE = "_GUESTNET_COMPLETE"  # typer's variable, by which a shell's completion asks; see setup
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GLOBAL = {"-f": True, "--file": True, "-c": True, "--connect": True, "--format": True}


def main(argv: list[str] | None = None) -> None:
    """The program `guestnet`; never returns."""
    # The start is imports. They make no garbage to collect, and pydantic need not look for plugins in every package.
    gc.disable()
    for number in _ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # by nohup, or a shell for what it runs beside it
            signal.signal(number, _interrupt)  # an apply that is told to end takes back what it did
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        code = run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:  # it came while something else was being said
        code = INTERRUPTED
    _deafen()
    _let_go()
    sys.exit(code)


def _let_go() -> None:
    """What a reader or terminal that has gone did not take is dropped. Python would try again at its end, and make the
    exit code 120 of that: https://docs.python.org/3/library/sys.html#sys.exit"""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):  # it is closed already
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _interrupt(_number: int, _frame: object) -> None:
    """The first is obeyed; those that follow would only cut off the tidying up."""
    _deafen()
    raise KeyboardInterrupt


def _deafen() -> None:
    for number in _ENDS:
        signal.signal(number, signal.SIG_IGN)


def run(argv: list[str]) -> int:
    """Runs one command line and gives its exit code; every error becomes text on stderr here and nowhere else."""
    from guestnet.faces.cli.document import Document

    document = Document()
    try:
        code = _run(argv, document)
        document.print()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _failed(GuestnetError("interrupted"), INTERRUPTED, document)
    except GuestnetError as error:
        return _failed(error, 1, document)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone: nothing to say, and nobody to say it to
        return 1
    except OSError as error:  # the doors name their own troubles; what is left is mostly our output
        return _failed(GuestnetError(error.strerror or str(error)), 1, document)
    except Exception as error:  # noqa: BLE001  the boundary: what arrives here is a bug of ours
        from guestnet.faces.bug import write_log

        what = f"this is a bug in guestnet: {type(error).__name__}: {error}"
        todo = f"please report it with {write_log()}"
        return _failed(GuestnetError(what, todo), BUG, document, f"{what}\n{todo}")


def _run(argv: list[str], document: Document) -> int:
    import typer

    from guestnet.faces.cli.app import app

    if COMPLETE in os.environ:  # a shell asks; typer answers, once it is told to: we have no --install-completion
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
    try:
        result: object = app(args=_hoist(argv), prog_name="guestnet", standalone_mode=False, obj=document)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.TyperException as error:  # every kind of wrong usage
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "guestnet"
        what, todo = error.format_message(), f"see: {where} --help"
        return _failed(GuestnetError(what, todo), USAGE, document, f"{what}\n{todo}")
    if result == INTERRUPTED:  # typer makes that of a KeyboardInterrupt
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0


def _failed(error: GuestnetError, code: int, document: Document, text: str = "") -> int:
    """Says so to the person, as `text` if that is another, and to the program that asked for a document."""
    say(text or str(error))
    with contextlib.suppress(OSError, ValueError):
        document.print(error)
        sys.stdout.flush()
    return code


def _hoist(argv: list[str]) -> list[str]:
    """The global options in front of the verb, wherever they were written."""
    front, rest = [], []
    words = iter(argv)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _GLOBAL:
            front += [word, *([following] if (following := next(words, None)) is not None else [])]
        elif word.startswith(("--file=", "--connect=", "--format=")) or word[:2] in ("-f", "-c"):
            front.append(word)
        else:
            rest.append(word)
    return front + rest
