"""pydantic's errors as problems: which place, plain words, and what to leave out so that the rest can be checked."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from guestnet.spec import models, values
from guestnet.spec.document import Loaded, Path
from guestnet.spec.near import did_you_mean
from guestnet.words.problems import Problem

_KINDS = {"dict": "a mapping", "model": "a mapping", "list": "a list", "tuple": "a list"}
_LISTS = ("forwards", "nics", "ranges", "forwarders", "deny", "hosts", "devices", "interfaces")
_TOPS_AND_LISTS = ("networks", "guests", *_LISTS)


def problem(error: dict[str, Any], loaded: Loaded) -> Problem:
    """One error of pydantic in plain words, at its place."""
    path = written(error, loaded)
    kind, context = error["type"], error.get("ctx", {})
    at = loaded.place(path)
    if kind == values.REFUSED:
        place = loaded.key(path) if is_key(error) else at
        return Problem(context["what"], context["todo"], place)
    if kind == "extra_forbidden":
        return _unknown(path, loaded)
    if kind == "missing":
        return Problem(f"{where(path[:-1])} has no {path[-1]}", _todo_missing(str(path[-1])), loaded.key(path[:-1]))
    for part, shape in _KINDS.items():
        if kind.startswith(part):
            name = path[-1] if path and path[-1] in _TOPS_AND_LISTS else where(path)
            return Problem(f"{name} is not {shape}", _todo_shape(shape, path), at)
    return Problem(f"{where(path)}: {error['msg']}", "see guestnet schema", at)


def prune(error: dict[str, Any], loaded: Loaded) -> Path:
    """The smallest part to leave out so that what remains means what the file says, and nothing new looks wrong."""
    path = written(error, loaded)
    if error["type"] == "extra_forbidden":
        return path
    for i, step in enumerate(path):
        # A forward is judged as a whole: without its listen address it would be another forward
        if step in _LISTS and len(path) > i + 1:
            if step == "forwards":
                return path[: i + 2]
            if step == "nics" and (error["type"] == "missing" or path[-1] == "network" or len(path) == i + 2):
                return path[:2]
            if step in ("ranges", "forwarders", "deny", "hosts", "devices", "interfaces"):
                return path[: i + 1]
    if path[-1:] in (("mode",), ("nics",), ("network",)):
        return path[:2]
    # What is missing cannot be left out; what it is missing from can.
    return path[:-1] if error["type"] == "missing" else path


def written(error: dict[str, Any], loaded: Loaded) -> Path:
    """pydantic's location as a path of the file: without its own marks, and cut where the file says it shorter."""
    steps = tuple(step for step in error["loc"] if step != "[key]")
    end = len(steps) - (error["type"] == "missing")
    while end > 0 and steps[:end] not in loaded.places:
        end -= 1
    return steps if error["type"] == "missing" else steps[:end]


def is_key(error: dict[str, Any]) -> bool:
    """Whether the error is about a key, not about its value."""
    return bool(error["loc"]) and error["loc"][-1] == "[key]"


def where(path: Path) -> str:
    """`guest web1`, `network lab`, `nat of network lab`: a part of the file as people name it."""
    if not path:
        return "the file"
    if path[0] in ("networks", "guests") and len(path) > 1:
        owner = f"{str(path[0])[:-1]} {path[1]}"
        rest = [str(step) for step in path[2:] if isinstance(step, str)]
        if rest:
            rest[-1] = {"forwards": "a forward", "nics": "a NIC"}.get(rest[-1], rest[-1])
        return f"{rest[-1]} of {owner}" if rest else owner
    return str(path[-1])


def _unknown(path: Path, loaded: Loaded) -> Problem:
    key = str(path[-1])
    model = _model_at(path[:-1])
    place = loaded.key(path)
    known = [field.alias or name for name, field in model.model_fields.items()]
    return Problem(f'unknown key "{key}" in {where(path[:-1])}', did_you_mean(key, known), place)


def _model_at(path: Path) -> type[BaseModel]:
    """The model of the mapping at a path: down the fields, past the names that stand in mappings and lists."""
    model: type[BaseModel] = models.Spec
    fields = _inner(model)
    for step in map(str, path):
        if step in fields:
            model = fields[step]
            fields = _inner(model)
    return model


def _inner(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Key -> the model of its value, or of the values in it."""
    found = {}
    for name, field in model.model_fields.items():
        kinds = [kind for kind in _parts(field.annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if kinds:
            found[field.alias or name] = kinds[0]
    return found


def _parts(annotation: Any) -> list[Any]:
    """An annotation and everything in its brackets."""
    return [annotation, *(part for inner in get_args(annotation) for part in _parts(inner))]


def _todo_missing(key: str) -> str:
    return {
        "mode": "write mode: nat",
        "network": "write network: and the name of one",
        "ports": "write ports: and the port of the host",
    }.get(key, f"write {key}:")


def _todo_shape(shape: str, path: Path) -> str:
    if shape == "a list":
        return "write its items on lines of their own, each after a -"
    if path in (("networks",), ("guests",)):
        return "write the names below it, each with a colon"
    if path[-2:-1] == ("forwards",):
        return "write HOST:GUEST such as 4023:22, or a mapping with ports:"
    if path[:1] == ("networks",) and len(path) == len(("networks", "lab")):
        return "write its keys below it, the first is mode: nat"
    return "write its keys below it, each as key: value"
