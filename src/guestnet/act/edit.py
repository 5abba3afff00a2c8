"""The file edited for as long as what it now says can be made true; otherwise it is as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from guestnet.act.apply import undisturbed
from guestnet.decide.state import File
from guestnet.host import files
from guestnet.words.problems import ConflictError


@contextlib.contextmanager
def edited(path: str, before: str, after: str) -> Iterator[None]:
    """`path` holds `after`, and again `before` when what is done meanwhile fails or is interrupted.

    Raises ConflictError when somebody else changed the file; what they wrote stays.
    """
    mode = files.mode(path)
    try:
        files.write(path, File(after, mode), over=before)
        yield
    except BaseException as error:
        with undisturbed():
            _put_back(path, File(before, mode), after, error)
        raise


def _put_back(path: str, before: File, after: str, error: BaseException) -> None:
    there = files.read(path)
    if there is not None and there.text == after:
        files.write(path, before, over=after)
    elif there != before and not isinstance(error, ConflictError):
        what = f"{error}\n{path} was changed meanwhile by somebody else, and is left as they wrote it"
        raise ConflictError(what, "look at it, then: guestnet plan") from error
