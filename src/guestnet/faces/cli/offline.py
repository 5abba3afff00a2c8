"""The world as the file and the remembered values make it, for `show` and `render`: no root, no libvirt."""

from __future__ import annotations

from pathlib import Path

from guestnet.decide.desired import MEMORY
from guestnet.faces.aside import say
from guestnet.host import files
from guestnet.host.chance import chance
from guestnet.spec import load
from guestnet.spec.memory import Memory, from_text
from guestnet.spec.models import Spec
from guestnet.spec.resolve import Taken, resolve
from guestnet.spec.world import World


def offline_world(path: str) -> tuple[Spec, World]:
    """Says on stderr when a value that the host does not remember yet was drawn for this look only."""
    spec = load.read_spec(Path(path))
    remembered = files.read(MEMORY)
    memory = from_text(remembered.text, MEMORY) if remembered else Memory()
    world, then = resolve(spec, memory, random=chance(), taken=Taken(), macs={})
    if then != memory:
        say("some values are not remembered yet; apply may choose others, to fit this host")
    return spec, world
