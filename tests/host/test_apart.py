"""nft's own spelling, from a namespace that is gone when the call is over; needs root, and makes nothing outside it."""

from __future__ import annotations

import os
import shutil

import pytest

from guestnet.host import chains
from guestnet.host.apart import printed
from guestnet.host.run import ProgramError

if os.geteuid() or shutil.which("nft") is None:
    pytest.skip("needs root and nft", allow_module_level=True)

TABLE = "table inet guestnet {\n chain c { type filter hook forward priority -5; tcp dport 22 counter drop; }\n}\n"


def test_as_nft_prints_it() -> None:
    text = printed(TABLE, "-s", "list", "table", "inet", "guestnet")
    assert "type filter hook forward priority filter - 5; policy accept;" in text
    assert "tcp dport 22 counter drop" in text


def test_of_chains() -> None:
    rule = 'ct mark and 0x2000 == 0x2000 accept comment "guestnet"'
    found = chains.normal({"inet theirs forward": (rule,)})
    assert found["inet theirs forward"].rules == ('ct mark & 0x00002000 == 0x00002000 accept comment "guestnet"',)


def test_what_nft_does_not_take() -> None:
    with pytest.raises(ProgramError, match="syntax error"):
        printed("nonsense", "list", "ruleset")
