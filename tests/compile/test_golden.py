"""Spec in, texts out, on disk in tests/golden: what apply would write, and what show prints."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from guestnet.compile import admit, dhcp, hookdata, nft, ruleset, sysctl
from guestnet.decide.desired import ADMIT_FILE, settings
from guestnet.decide.facts import Facts, Uplink
from guestnet.faces.texts import dhcp_text, gai_text, nft_text, xml_text
from guestnet.host import lock
from guestnet.spec import models as module
from guestnet.spec.document import load
from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory, from_text, to_text
from guestnet.spec.resolve import Taken, resolve
from guestnet.spec.show import show
from guestnet.spec.world import World
from tests.hooked import hook
from tests.worlds import drawn

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = sorted(path.parent for path in GOLDEN.glob("0*/spec.yaml"))
RA = Facts(
    hostname="kvm1",
    libvirt="9.0.0",
    uplinks=(Uplink("enp6s0", (4, 6), kernel_ra=True),),
    learning=("enp6s0",),
    settings={"net/ipv6/conf/enp6s0/accept_ra": "1"},
)


def made(case: Path, memory: Memory) -> tuple[World, Memory]:
    spec = load_spec((case / "spec.yaml").read_bytes(), "spec.yaml")
    return resolve(spec, memory, random=random.Random(7), taken=Taken(), macs={})  # noqa: S311  not a secret


def texts(case: Path) -> dict[str, str]:
    spec = load_spec((case / "spec.yaml").read_bytes(), "spec.yaml")
    world, memory = made(case, Memory())
    gai = gai_text(world)
    return {
        **({"gai.conf": gai} if gai else {}),
        "networks.xml": xml_text(world),
        "firewall.nft": nft_text(world),
        "reservations.txt": dhcp_text(world),
        "hookdata.txt": "".join(f"# {guest.name}\n{hookdata.guest_file(guest)}" for guest in world.guests),
        "sysctl.conf": sysctl.conf(settings(world, RA, memory)),
        "memory.json": to_text(memory),
        "show.yaml": show(spec, world),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case: Path, golden_update: bool) -> None:
    for name, text in texts(case).items():
        if golden_update:
            (case / name).write_text(text)
        assert text == (case / name).read_text(), f"{case.name}/{name} (make golden writes it anew)"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_again_from_memory(case: Path) -> None:
    world, memory = made(case, Memory())
    assert made(case, from_text(to_text(memory))) == (world, memory)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_show_is_valid_input_for_the_same_world(case: Path) -> None:
    world, _ = made(case, Memory())
    again = load_spec((case / "show.yaml").read_bytes(), "show.yaml")
    assert drawn(again, 99) == world


def test_the_hook_reads_what_was_compiled() -> None:
    """The hook can't import our format; this ties the two."""

    world, _ = made(GOLDEN / "040-forwards", Memory())
    for guest in world.guests:
        text = hookdata.guest_file(guest)
        lines = text.split("\n")
        assert lines[0] == hook.VERSION
        hook_elements = {
            key: sorted(line.partition(" ")[2] for line in lines if line.startswith(f"{key} ")) for key in hook.MAPS
        }
        compiled = hookdata.elements(text)
        assert {key: list(compiled.get(key, ())) for key in hook.MAPS} == hook_elements
        assert any(compiled.values())


@pytest.mark.parametrize("name", ["web1", "two nics", ".#~", "ünï", "a/b", 'x"y', "%41"])
def test_the_hook_spells_file_names_the_same(name: str) -> None:

    assert hook.encoded(name) == dhcp.file_name(name)
    assert not {"/", ".", "#", "~", '"', " "} & set(dhcp.file_name(name))


def test_the_hook_knows_what_the_product_knows() -> None:
    """It can't import our constants, so it has its own; they must not drift apart."""

    assert set(hook.MAPS) == set(ruleset.MAPS)
    assert ruleset.admit_rule() == hook.ADMIT
    assert ruleset.is_admit_rule(f"-A FORWARD {' '.join(hook.ADMIT)}")
    assert hook.HOSTS == dhcp.FOLDERS
    assert (hook.COMPILED, hook.VERSION) == (hookdata.FOLDER, hookdata.VERSION)
    assert hook.TABLE == nft.FAMILY_TABLE
    assert f" {admit.COMMENT} # handle " == hook.COMMENT
    assert admit.COMMENTED == hook.COMMENTED
    assert tuple(admit.PROGRAMS) == hook.PROGRAMS
    assert f"{hook.COMPILED}/admit" == ADMIT_FILE
    assert str(lock.FOLDER / lock.NAMES[1]) == hook.LOCK


def test_the_hook_says_which_limit_it_has_passed(tmp_path: Path) -> None:
    """At first that of a guest's start; for the unit it may become a longer one."""
    program = (
        "import sys, time, _signal; from tests.hooked import hook; hook.LOG = sys.argv[1];"
        "_signal.signal(14, hook.too_long); hook.limit(9); hook.limit(1); time.sleep(8)"
    )
    file = tmp_path / "hook.log"
    subprocess.run([sys.executable, "-c", program, str(file)], check=True, cwd=Path(__file__).parents[2])
    assert "not done within 1 s; given up" in file.read_text()


def written_keys(data: object) -> set[str]:
    """Every key in a document, names of networks and guests left out by what follows."""
    if isinstance(data, dict):
        return set(data).union(*(written_keys(value) for value in data.values()))
    return set().union(*(written_keys(item) for item in data)) if isinstance(data, list) else set()


def test_every_key_of_the_file_occurs_in_a_golden() -> None:
    """A key that no golden shows is a key whose output nobody has looked at."""
    found = {key for case in CASES for key in written_keys(load((case / "spec.yaml").read_bytes(), "x").data)}
    wanted = {field.alias or name for model in models() for name, field in model.model_fields.items()}
    assert wanted - found == set()
    assert "ports" in wanted


def models() -> list[type[BaseModel]]:
    """All models of the file: those the schema names, and the whole."""

    return [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, BaseModel)]
