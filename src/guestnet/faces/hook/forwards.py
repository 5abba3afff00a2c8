"""A guest comes and goes, and its forwards with it."""

import os

from guestnet.faces.hook.outside import answer, translation
from guestnet.faces.hook.prepared import COMPILED, NOT_THERE, PARTS, add, elements, encoded
from guestnet.faces.hook.programs import log, nft
from guestnet.faces.hook.table import ensure, rebuild
from guestnet.faces.hook.turns import RUN

OTHER_HOOK = "/etc/libvirt/hooks/qemu"  # never ours
late: list[str] = []  # what was prepared for a guest with UDP forwards that has started


def remember(name: str) -> None:
    """A mark: the guest is next started from a saved state, in which it has the addresses that it had."""
    if os.path.exists(f"{COMPILED}/now/{encoded(name)}"):
        os.makedirs(RUN, 0o755, exist_ok=True)
        with open(f"{RUN}/restored.{encoded(name)}", "w"):
            pass


def forget(name: str) -> None:
    """A guest that starts asks for its addresses anew: it most likely gets those that it is to have."""
    for path in (f"{RUN}/restored.{encoded(name)}", f"{COMPILED}/now/{encoded(name)}"):
        try:
            os.unlink(path)
        except OSError as trouble:
            if trouble.errno not in NOT_THERE:
                raise
            continue
        return


def came(name: str, operation: str) -> None:
    """The guest runs: its forwards are put in force."""
    if operation == "reconnect":
        ensure({name: True})
    found = elements(name)
    text = (translation() if PARTS in found else "") + add(found)
    if text and not nft(text):
        log(f"{name}: its forwards did not fit the table; all are put in anew")
        rebuild({name: True})
    answer(name, True)
    if operation == "started" and text and os.access(OTHER_HOOK, os.X_OK):
        log(f"{name}: {OTHER_HOOK} is run too; if it forwards ports, retire it: guestnet doctor says how")
    if operation == "started" and ("udp . " in text or " whole" in text):
        late.append(f"{COMPILED}/guests/{encoded(name)}")


def went(name: str) -> None:
    """The guest is off: its forwards go. Adding them first makes deleting safe when some are not there."""
    found = elements(name)
    if found and not nft(add(found) + add(found, "delete")):
        log(f"{name}: its forwards could not be taken out one by one; all are put in anew")
        rebuild({name: False})
    answer(name, False)
