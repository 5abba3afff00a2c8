"""The file that a verb edits itself: it holds the new text for as long as what that says can be made true.

It is written behind the first line of the journal, which has both texts, and put back before that goes: whatever is
killed, and when, file and host can be brought to the same.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from guestnet.act.journal import Head
from guestnet.decide.state import File
from guestnet.host import files


def write(head: Head) -> None:
    """As `head` has it. Raises ConflictError when somebody else changed the file since it was read: theirs stays."""
    if head.edit is not None:
        files.write(head.file, File(head.edit.after, files.mode(head.file)), over=head.edit.before)


def tidy(head: Head) -> None:
    """Removes what a killed run leaves that was writing it."""
    if head.edit is not None:
        with suppress(OSError):
            files.temporary_of(Path(head.file)).unlink(missing_ok=True)


def put_back(head: Head) -> bool:
    """The text that was there before, where the new one is; False: it is neither, and left as somebody else wrote it.
    Raises GuestnetError when it can't be written."""
    if head.edit is None:
        return True
    there = files.read(head.file)
    if there is not None and there.text == head.edit.after:
        files.write(head.file, File(head.edit.before, there.mode), over=head.edit.after)
        return True
    return there is not None and there.text == head.edit.before
