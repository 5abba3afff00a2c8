"""Names of other machines: what ssh gets must be a place, and never an option or a shell's words."""

from __future__ import annotations

import pytest

from guestnet.words.problems import WrongError
from guestnet.words.remote import parse_remote


@pytest.mark.parametrize(
    "place", ["vps", "root@vps.example.org", "me.too@2001:db8::9", "fe80::1%eth0", "203.0.113.9", "_a"]
)
def test_places(place: str) -> None:
    assert parse_remote(f"ssh:{place}") == place


@pytest.mark.parametrize(
    "text",
    ["vps", "ssh:", "ssh:-oProxyCommand=reboot", "ssh:-l@x", "ssh:a@-x", "ssh:a b", "ssh:a;b", "ssh:$(b)", "ssh:a\n",
     "ssh:a@b@c", "ssh:`b`", "ssh://vps", "ssh:vps/x", "ssh:'", "ssh:vps\0"],
)  # fmt: skip
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(WrongError, match="names no machine"):
        parse_remote(text)
