"""From a file to a checked Spec, with every problem at once. The only part of the spec that touches the disk: it reads.

Positions come from `document`, values from `models`, rules between them from `check`.
"""

from __future__ import annotations

import json
from pathlib import Path as File

from pydantic import ValidationError

from guestnet.spec.check import check
from guestnet.spec.document import LARGEST, Loaded, load
from guestnet.spec.models import Spec
from guestnet.spec.translate import problem, prune
from guestnet.words.problems import GuestnetError, MissingError, Problem, ProblemsError

__all__ = ["Loaded", "load", "load_spec", "read", "read_spec"]

_ROUNDS = 8  # of leaving out what is wrong; two are enough for all that is known


def read(path: File) -> bytes:
    """The bytes of the file, up to a little more than is accepted. Raises GuestnetError."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except FileNotFoundError:
        todo = "write one like examples/seed.yaml, or name yours with -f FILE"
        raise MissingError(f"there is no file {path}", todo) from None
    except IsADirectoryError:
        raise GuestnetError(f"{path} is a directory", "name the file in it with -f FILE") from None
    except PermissionError:
        raise GuestnetError(f"{path} cannot be read: permission denied", "run as root, or make it readable") from None
    except OSError as error:
        raise GuestnetError(f"{path} cannot be read: {error.strerror}", "name another file with -f FILE") from None
    except ValueError:  # a zero byte in the name
        raise GuestnetError(f"{str(path)!r} is not the name of a file", "name another with -f FILE") from None


def read_spec(path: File) -> Spec:
    """The Spec of a file on disk. Raises GuestnetError when it can't be read, ProblemsError with all that is wrong."""
    return load_spec(read(path), str(path))


def spec_of(applied: str) -> Spec | None:
    """The Spec that `show.applied` wrote; None for what another version wrote, or somebody else."""
    try:
        return Spec.model_validate(json.loads(applied))
    except (ValueError, RecursionError):  # pydantic's and json's errors are ValueErrors
        return None


def load_spec(source: bytes | str, file: str) -> Spec:
    """The Spec of YAML text; `file` is the name for positions. Raises ProblemsError with every problem, by position."""
    return checked(load(source, file))


def checked(loaded: Loaded) -> Spec:
    """As `load_spec`, of what is loaded already."""
    spec, remaining, problems = _validate(loaded)
    if spec is not None:
        problems += check(spec, remaining, loaded)
    problems += loaded.problems
    if spec is None or problems:
        raise ProblemsError(sorted(dict.fromkeys(problems), key=_order))
    return spec


def _order(problem: Problem) -> tuple[str, int, int, str]:
    place = problem.place
    return (place.file, place.line, place.col, problem.what) if place else ("", 0, 0, problem.what)


def _validate(loaded: Loaded) -> tuple[Spec | None, Loaded, list[Problem]]:
    """What can be understood of the file, and the problems of the rest, which is left out.

    So the rules between objects are checked too while some value is wrong, and all problems come at once.
    """
    problems: list[Problem] = []
    for _ in range(_ROUNDS):
        try:
            return Spec.model_validate(loaded.data), loaded, problems
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
            problems += [problem(dict(e), loaded) for e in errors]
            loaded = loaded.without(frozenset(prune(dict(e), loaded) for e in errors))
    return None, loaded, problems
