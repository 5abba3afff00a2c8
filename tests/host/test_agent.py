"""The agent's protocol, against answers that a test makes up; tests/live/test_prefer_agents.py has real ones."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from typing import Any

import pytest

from guestnet.host.agent import PIECE, Agent
from guestnet.words.problems import AsideError, SilentError


def saying(*answers: Any, seconds: float = 60) -> tuple[Agent, list[dict[str, Any]]]:
    """An agent that answers so, again from the last on; and what it was asked."""
    asked: list[dict[str, Any]] = []

    def ask(_guest: str, message: str, _seconds: int) -> str:
        asked.append(json.loads(message))
        return json.dumps({"return": answers[min(len(asked), len(answers)) - 1]})

    return Agent(ask, "web1", seconds), asked


def test_a_program_that_does_not_end_is_not_waited_for() -> None:
    agent, _ = saying({"pid": 7}, {"exited": False}, seconds=0.4)
    began = time.monotonic()
    with pytest.raises(AsideError, match="is too slow"):
        agent.run("/bin/sleep", "9")
    assert time.monotonic() - began < 2


def test_who_is_silent_is_not_asked_again() -> None:
    asked = []

    def ask(_guest: str, message: str, _seconds: int) -> str:
        asked.append(message)
        raise SilentError("no answer")

    agent = Agent(ask, "web1")
    for _ in range(3):
        with pytest.raises(SilentError):
            agent.call("guest-ping")
    assert len(asked) == 1


def test_a_file_in_pieces() -> None:
    content = bytes(range(256)) * (PIECE // 128)
    agent, asked = saying(3, {"count": PIECE}, {"count": 5}, {"count": PIECE - 5}, {})
    agent.write("/x", content)
    written = [one["arguments"]["buf-b64"] for one in asked if one["execute"] == "guest-file-write"]
    halves = (content[:PIECE], content[PIECE : 2 * PIECE], content[PIECE + 5 :])
    assert written == [b64encode(one).decode() for one in halves]
    assert [one["execute"] for one in asked[-2:]] == ["guest-file-flush", "guest-file-close"]


def test_a_file_without_an_end_is_refused() -> None:
    agent, asked = saying(3, {"count": PIECE, "buf-b64": b64encode(bytes(PIECE)).decode(), "eof": False})
    with pytest.raises(AsideError, match="larger than 1 MB"):
        agent.read("/x", 1 << 20)
    assert asked[-1]["execute"] == "guest-file-close"


@pytest.mark.parametrize("count", [0, -1, PIECE + 1, "4", None])
def test_a_write_that_makes_no_sense(count: object) -> None:
    agent, _ = saying(3, {"count": count})
    with pytest.raises(AsideError, match="guest-file-write with what is no answer"):
        agent.write("/x", b"abcd")


def test_a_signal_is_a_code() -> None:
    agent, _ = saying({"pid": 7}, {"exited": True, "signal": 9})
    assert agent.run("/bin/true").code == 137


@pytest.mark.parametrize(
    "answers",
    [
        [7],
        [{"pid": "1"}],
        [{"pid": 1}, []],
        [{"pid": 1}, {"exited": 1}],
        [{"pid": 1}, {"exited": True}],
        [{"pid": 1}, {"exited": True, "exitcode": 0, "out-data": 5}],
        [{"pid": 1}, {"exited": True, "exitcode": 0, "out-data": "***"}],
    ],
)
def test_a_program_of_which_nonsense_is_said(answers: list[Any]) -> None:
    agent, _ = saying(*answers)
    with pytest.raises(AsideError, match="with what is no answer"):
        agent.run("/bin/true")


@pytest.mark.parametrize("said", ["", "{}", "[", "7", '{"return"', "[" * 100_000])
def test_what_is_no_json(said: str) -> None:
    agent = Agent(lambda _guest, _message, _seconds: said, "web1")
    with pytest.raises(AsideError, match="answers guest-ping with what is no answer"):
        agent.call("guest-ping")
