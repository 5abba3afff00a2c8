"""What the file said when it was applied last, as the host tells it."""

from __future__ import annotations

from guestnet.act.survey import _as_applied, _before, _written
from guestnet.decide.desired import MEMORY
from guestnet.decide.facts import Domain, Facts
from guestnet.decide.prefer.record import Record
from guestnet.decide.state import APPLIED, SOURCE, File, Key, Network, State
from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.models import Spec
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


YAML = "networks:\n  lab: {mode: nat, ipv4: 10.66.1.1/24, ipv6: none}\n"
SAID = applied(SPEC, NOW)


def spelled(spec: Spec) -> str:
    return applied(spec, drawn(spec, 7))


def as_applied(source: str, kept: str | None, was: str | None, *, wanted: str = SAID, remembered: bool = True) -> bool:
    """source: the file now; kept: what is left of the one that was applied; was: what is left of what it meant."""
    texts = {SOURCE: kept, APPLIED: was, MEMORY: "{}" if remembered else None}
    live: State = {Key("memory", path): File(text) for path, text in texts.items() if text is not None}
    return _as_applied(source, live, {KEY: File(wanted)}, spelled)


def test_the_file_is_as_it_was_applied() -> None:
    assert as_applied(YAML, YAML, SAID)
    assert as_applied(YAML, YAML, f"{SAID}\n"), "its meaning was tampered with"
    assert as_applied(YAML, YAML, None)
    for kept in (YAML.replace("10.66.1.1", "10.66.2.1"), ": {", None):
        assert as_applied(YAML, kept, SAID), "what was kept of it was tampered with, or is gone"
    assert as_applied(YAML, None, None), "both are gone, of a host that was applied to"


def test_the_file_was_edited() -> None:
    assert not as_applied(f"# a comment\n{YAML}", YAML, SAID)
    assert not as_applied(YAML.replace("10.66.1.1", "10.66.2.1"), YAML, SAID, wanted="other")
    assert not as_applied(YAML, None, SAID, wanted="other")
    assert not as_applied(YAML, None, None, remembered=False), "nothing was applied yet"
