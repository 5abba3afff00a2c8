"""The unit that undoes an apply which nobody confirms. It is there only while one waits, also over a reboot."""

from __future__ import annotations

from collections.abc import Sequence

NAME = "guestnet-confirm.service"
FILE = f"/etc/systemd/system/{NAME}"

_TEXT = """\
# Written by guestnet apply --confirm; gone when that is confirmed or undone.
#
# It counts down to the undoing. At a boot there is nothing to count: whoever should have confirmed has lost the host,
# so it undoes at once. It is a unit of its own, and no timer, because the time begins anew when apply is done, because
# systemd starts it again when it is killed, and because a timer made by systemd-run is gone after a reboot.

[Unit]
Description=Undoing of a guestnet apply that nobody confirms
After={units}
# It tries until it is done.
StartLimitIntervalSec=0

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
"""

_UNITS = ("libvirtd.service", "virtqemud.service", "virtnetworkd.service", "guestnet.service")


def text(command: Sequence[str]) -> str:
    """The unit's file; `command` is the program and its arguments."""
    return _TEXT.format(command=" ".join(map(_quoted, command)), units=" ".join(_UNITS))


def _quoted(word: str) -> str:
    """A word of a command line for systemd (systemd.service(5)), whatever is in it."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"'
