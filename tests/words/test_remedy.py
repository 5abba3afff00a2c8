"""What a person can do about an error of the system is told by its errno."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from guestnet.act import journal
from guestnet.host import files
from guestnet.words.problems import GuestnetError
from guestnet.words.remedy import remedy


@pytest.mark.parametrize(
    ("number", "todo"),
    [
        (errno.EACCES, "run guestnet as root"),
        (errno.EPERM, "run guestnet as root"),
        (errno.ENOSPC, "make room there, then try again"),
        (errno.EDQUOT, "make room there, then try again"),
        (errno.EROFS, "mount that read-write, then try again"),
        (errno.EIO, "see to it, then try again"),
    ],
)
def test_remedy(number: int, todo: str) -> None:
    assert remedy(OSError(number, "?")) == todo


def test_who_reads_says_it(tmp_path: Path) -> None:
    """A name that is too long is nobody's lack of rights."""
    path = tmp_path / ("x" * 300)
    for act in (lambda: files.read(str(path)), lambda: journal.left(path)):
        with pytest.raises(GuestnetError, match="File name too long") as caught:
            act()
        assert caught.value.todo == "see to it, then try again"
