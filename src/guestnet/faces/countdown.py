"""Counts down to the undoing of an apply that waits for its confirmation, and does it. Started by `host.countdown`,
never by hand; it has no terminal, and ends by itself when nothing waits any more.

A SIGTERM, as at a shutdown, only ends it: what waits is undone at the next boot.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from math import inf

from guestnet.faces.aside import say
from guestnet.words.problems import GuestnetError

_LOOK = 1.0  # seconds: how soon it sees that it was confirmed
_AGAIN = 10.0


def main() -> int:
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from guestnet.host.lock import countdown_lock  # noqa: PLC0415  pydantic is told first, and whoever has the lock needs no second one of us

    signal.signal(signal.SIGTERM, _end)
    try:
        with countdown_lock():
            _count()
    except KeyboardInterrupt:
        return 0
    except GuestnetError as error:  # another counts
        _say(str(error))
    return 0


def _count() -> None:
    from guestnet.act import confirm  # noqa: PLC0415  as above

    while True:
        try:
            pending = confirm.waiting()
            if pending is None:
                confirm.forget()
                return
            if pending.left:
                time.sleep(min(_LOOK, pending.left))
                continue
            _undo(pending.uri)
        except Exception as error:  # noqa: BLE001  libvirt may not be there yet; and a bug must not end this
            _say(str(error))
            time.sleep(_AGAIN)


def _undo(uri: str | None) -> None:
    from guestnet.act import confirm  # noqa: PLC0415  as above
    from guestnet.act.apply import changing  # noqa: PLC0415  as above
    from guestnet.faces.report import progress  # noqa: PLC0415  as above
    from guestnet.host.libvirt import SYSTEM, Libvirt  # noqa: PLC0415  as above
    from guestnet.host.trust import need_kept  # noqa: PLC0415  as above

    need_kept()  # what others could have written is not gone back by; the log names it, and it is tried again
    with Libvirt(uri or SYSTEM) as libvirt, changing(wait=inf):
        pending = confirm.waiting()
        if pending is not None and not pending.left:
            done = confirm.undo(libvirt, progress)
            said = (
                f"nobody confirmed the apply of {done.head.when}: it is {done}" if done else "nothing was left to undo"
            )
            _say(said)


def _say(text: str) -> None:
    """A log that cannot be written, as on a full disk, must not end the countdown."""
    say(f"{time.strftime('%H:%M:%S')} {text}")


def _end(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
