"""What the file said when it was applied last, as the host tells it."""

from __future__ import annotations

from guestnet.act.survey import _before, _written
from guestnet.decide.facts import Domain, Facts
from guestnet.decide.prefer.record import Record
from guestnet.decide.state import APPLIED, File, Key, Network, State
from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.show import applied
from guestnet.spec.world import World
from tests.worlds import drawn

KEY = Key("memory", APPLIED)
NETWORK: State = {Key("network", "lab"): Network("<network/>", "<network/>", True)}
NOTHING = World((), ())
SPEC = load_spec("networks:\n  lab: {mode: nat, ipv4: 10.66.1.1/24, ipv6: none}\n", "x.yaml")
NOW = drawn(SPEC, 7)


def before(live: State, text: str | None = None, wanted: str = "other") -> World | None:
    live = live if text is None else {**live, KEY: File(text)}
    return _before(live, {KEY: File(wanted)}, Memory(), NOW)


def test_what_was_applied() -> None:
    text = applied(SPEC, NOW)
    assert before(NETWORK, text) == NOW
    assert before(NETWORK, text, wanted=text) is NOW, "the same: it is not read"
    assert before(NETWORK, "{}") == NOTHING


def test_without_networks_there_was_nothing() -> None:
    assert before({}) == before({}, "nonsense") == NOTHING


def test_networks_and_nobody_knows_what_was_said() -> None:
    assert before(NETWORK) is None
    assert before(NETWORK, "nonsense") is None
    assert _before(NETWORK, {}, Memory(), NOTHING) is None, "nor when all of it is to go"


def test_whose_resolver_was_told() -> None:
    """A domain of the same name that was made since is not the one, nor is one where it was only begun."""
    facts = Facts("kvm1", "9.0.0", domains=tuple(Domain(name, True, (), uuid=f"u-{name}") for name in "abc"))
    lines = b"label"
    records = [
        Record("a", "u-a", done=True, wrote=lines),
        Record("b", "older", done=True, wrote=lines),
        Record("c", "u-c", wrote=lines),
    ]
    assert _written({one.guest: one for one in records}, facts) == {"a"}
