"""The file's text with one forward more, or one less; whatever comes out says exactly that, or nothing comes out.

Pure: text in, text out. Where the text is cut is `surgery`'s business; here it is seen to that the specs before and
after differ by that forward and nothing else, and that the new one is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from guestnet.spec import surgery
from guestnet.spec.document import Loaded
from guestnet.spec.firstfile import network_lines
from guestnet.spec.forwards import Short, parse
from guestnet.spec.fromlibvirt import Entry
from guestnet.spec.load import checked, load
from guestnet.spec.models import Forward, Guest, Network, Spec
from guestnet.spec.near import did_you_mean
from guestnet.spec.show import scalar
from guestnet.spec.values import REFUSED
from guestnet.words.addresses import network_text
from guestnet.words.listens import listens
from guestnet.words.ports import WHOLE
from guestnet.words.problems import GuestnetError, WrongError

_BOM = "\ufeff"


@dataclass(frozen=True)
class Edited:
    """The file before and after; `forward` is the one that came or went, of a network None."""

    text: str
    before: Spec
    after: Spec
    forward: Forward | None


def made(text: str, sources: tuple[str, ...] = (), description: str = "") -> Forward:
    """A forward as a command line has it. Raises GuestnetError."""
    try:
        short = parse(text)
        return Forward.model_validate(_long(short, sources, description) if sources or description else str(short))
    except WrongError as error:
        raise GuestnetError(error.what, error.todo) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        context = first.get("ctx", {}) if first["type"] == REFUSED else {"what": first["msg"], "todo": ""}
        raise GuestnetError(context["what"], context["todo"]) from None


def add(source: bytes, file: str, guest: str, forward: Forward) -> Edited:
    """Raises ProblemsError when the file before, or after, is not right; GuestnetError for what can't be added."""
    text, loaded = _read(source, file)
    before = checked(loaded)
    its = _guest(before, guest, file).forwards
    for i, other in enumerate(its):
        if _same(other, forward):
            line = loaded.place(("guests", guest, "forwards", i)).line
            off = "" if other.enabled else ", switched off with enabled: false"
            raise GuestnetError(f"guest {guest} has the forward {shown(forward)} already, at line {line}{off}")
    return _seen(surgery.add(text, guest, written(forward)), file, before, guest, (*its, forward), forward, source)


def remove(source: bytes, file: str, guest: str, which: str) -> Edited:
    """`which`: a forward as it is written, or the host's port with or without its protocol. Raises as `add`."""
    text, loaded = _read(source, file)
    before = checked(loaded)
    its = _guest(before, guest, file).forwards
    number = _chosen(its, which, guest)
    rest = its[:number] + its[number + 1 :]
    return _seen(surgery.remove(text, guest, number), file, before, guest, rest, its[number], source)


def add_network(source: bytes, file: str, name: str, found: Entry) -> Edited:
    """The file with a network of libvirt's in it; as it is, when it has one of that name. Raises as `add`."""
    text, loaded = _read(source, file)
    before = checked(loaded)
    if name in before.networks:
        return Edited(source.decode(), before, before, None)
    expected = {**before.networks, name: Network.model_validate(found.values)}
    after = before.model_copy(update={"networks": expected})
    return _verified(surgery.add_network(text, list(network_lines(name, found))), file, before, after, source)


def remove_network(source: bytes, file: str, name: str) -> Edited:
    """Without a network, and the guests that are in no other. Raises as `add`; for a guest in others too."""
    text, loaded = _read(source, file)
    before = checked(loaded)
    if name not in before.networks:
        raise GuestnetError(f"network {name} is not in {file}", did_you_mean(name, sorted(before.networks)))
    inside = {guest: {nic.network for nic in one.all_nics} for guest, one in before.guests.items()}
    both = [guest for guest, networks in inside.items() if name in networks and len(networks) > 1]
    if both:
        what = f"guest {', '.join(both)} is in network {name}, and in another one too"
        raise GuestnetError(what, "take that NIC, and forwards to it, out of the file by hand first")
    gone = [guest for guest, networks in inside.items() if name in networks]
    after = before.model_copy(
        update={
            "networks": {key: one for key, one in before.networks.items() if key != name},
            "guests": {key: one for key, one in before.guests.items() if key not in gone},
        }
    )
    text = surgery.remove_entries(text, "networks", [name])
    text = surgery.remove_entries(text, "guests", gone) if gone else text
    return _verified(text, file, before, after, source)


def _verified(text: str, file: str, before: Spec, after: Spec, source: bytes) -> Edited:
    """The text, once it is seen that it says `after`. Raises ProblemsError when that is not right."""
    loaded = load(text, file)
    try:
        same = Spec.model_validate(loaded.data) == after and not loaded.problems
    except ValidationError:
        same = False
    if not same:
        raise GuestnetError(f"{file} can't be edited here without changing more than the network", surgery.BY_HAND)
    bom = _BOM if source.startswith(_BOM.encode()) else ""
    return Edited(bom + text, before, checked(loaded), None)


def written(forward: Forward) -> str:
    """What stands for it in the file: the short form if that says everything, else a mapping with what needs saying."""
    if not forward.sources and not forward.description:
        short = _short(forward)
        return short if short.isdigit() else scalar(short)
    said: list[tuple[str, str]] = []
    if forward.protocol != WHOLE:
        said.append(("ports", str(forward.ports)))
        if forward.target != forward.ports:
            said.append(("to", str(forward.target)))
    if forward.protocol != "tcp":
        said.append(("protocol", forward.protocol))
    if forward.listen:
        said.append(("listen", scalar(str(forward.listen[0]))))
    if forward.sources:
        said.append(("from", f"[{', '.join(scalar(network_text(source)) for source in forward.sources)}]"))
    if forward.description:
        said.append(("description", scalar(forward.description)))
    return f"{{{', '.join(f'{key}: {value}' for key, value in said)}}}"


def shown(forward: Forward) -> str:
    """As people name it: the short form, of several listeners the first."""
    return _short(forward)


def told(forward: Forward) -> str:
    """As `shown`, and who may connect: `7011:80 from 198.51.100.0/24`."""
    sources = ", ".join(map(network_text, forward.sources))
    return f"{_short(forward)} from {sources}" if sources else _short(forward)


def _short(forward: Forward) -> str:
    return str(Short(forward.listeners[0], forward.ports, forward.target, forward.protocol))


def _long(short: Short, sources: tuple[str, ...], description: str) -> dict[str, Any]:
    """As `written` writes it."""
    said: dict[str, Any] = {"protocol": short.protocol, "description": description}
    if short.protocol != WHOLE:
        said["ports"] = str(short.ports)
    if short.to != short.ports:
        said["to"] = str(short.to)
    if short.listen is not None:
        said["listen"] = str(short.listen)
    return {**said, "from": list(sources)} if sources else said


def _read(source: bytes, file: str) -> tuple[str, Loaded]:
    loaded = load(source, file)
    return source.decode("utf-8").removeprefix(_BOM), loaded


def _guest(spec: Spec, name: str, file: str) -> Guest:
    if name in spec.guests:
        return spec.guests[name]
    raise GuestnetError(f"guest {name} is not in {file}", did_you_mean(name, sorted(spec.guests)))


def _same(one: Forward, other: Forward) -> bool:
    """Whether they are one forward, but for what is said about it."""
    neutral = {"description": "", "enabled": True}
    return _spelled(one.model_copy(update=neutral)) == _spelled(other.model_copy(update=neutral))


def _spelled(forward: Forward) -> Forward:
    return forward.model_copy(update={"to": forward.target})


def _listed(forward: Forward) -> tuple[str, ...]:
    """As `forward list` prints where it listens, with who may connect and without."""
    where = listens([str(one) for one in forward.listen], str(forward.ports), forward.protocol)
    sources = ", ".join(map(network_text, forward.sources))
    return (where, f"{where} from {sources}") if sources else (where,)


def _chosen(its: tuple[Forward, ...], which: str, guest: str) -> int:
    """The number of the forward that `which` names: as `forward list` prints it, exactly, else the only one that has
    what it says."""
    listed = [i for i, one in enumerate(its) if which in _listed(one)]
    if len(listed) == 1:
        return listed[0]
    try:
        wanted = parse(which)
    except WrongError as error:
        raise GuestnetError(error.what, error.todo) from None
    ends, slash, _ = which.partition("/")
    both = ends.endswith(f"{wanted.ports}:{wanted.to}") or wanted.to != wanted.ports
    exact = [i for i, one in enumerate(its) if _short(one) == str(wanted) and len(one.listeners) == 1]
    fits = exact or [
        i
        for i, one in enumerate(its)
        if one.ports == wanted.ports
        and (one.protocol == wanted.protocol or not slash)
        and (wanted.listen in one.listeners or wanted.listen is None)
        and (one.target == wanted.to or not both)
    ]
    if len(fits) == 1:
        return fits[0]
    names = ", ".join(dict.fromkeys(_short(its[i]) for i in fits or range(len(its))))
    if fits:
        raise GuestnetError(f"{which} names {len(fits)} forwards of guest {guest}: {names}", _several(names))
    raise GuestnetError(f"guest {guest} has no forward {which}", f"it has {names}" if its else "it has none")


def _several(names: str) -> str:
    return "write one of them" if ", " in names else "edit the file by hand: they differ in what a name can't say"


def _seen(  # noqa: PLR0913, PLR0917  what comes in, what is expected of it, and the names for both
    text: str, file: str, before: Spec, guest: str, its: tuple[Forward, ...], forward: Forward, source: bytes
) -> Edited:
    """The text, once it is seen that it says what it should and is right."""
    expected = before.model_copy(
        update={"guests": {**before.guests, guest: before.guests[guest].model_copy(update={"forwards": its})}}
    )
    by_hand = GuestnetError(f"{file} can't be edited here without changing more than guest {guest}", surgery.BY_HAND)
    try:
        loaded = load(text, file)
        found = Spec.model_validate(loaded.data)
    except (GuestnetError, ValidationError):
        raise by_hand from None
    if loaded.problems or found != expected:
        raise by_hand
    bom = _BOM if source.startswith(_BOM.encode()) else ""
    return Edited(bom + text, before, checked(loaded), forward)
