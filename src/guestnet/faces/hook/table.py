"""The firewall table, and in it the forwards of the guests that run."""

import os

from guestnet.faces.hook.admits import CHAINS, admit, admit_chains, ask_forward
from guestnet.faces.hook.domainxml import RUNNING
from guestnet.faces.hook.outside import OUTSIDE, answer_for, translation
from guestnet.faces.hook.prepared import COMPILED, HOSTS, add, elements
from guestnet.faces.hook.programs import HookError, ask, hear, log, nft


def ensure(sure: dict[str, bool]) -> None:
    """The table and the admit rules are there, before a guest runs."""
    if os.access(f"{COMPILED}/table.nft", os.R_OK):
        # Not `list chain inet guestnet forward`: for that nft 1.0.6 reads every element of the table, 130 ms with
        # 20,000 of them. All three are asked at once; iptables, which may be missing, has no say in isolation.
        asked, forward = ask(CHAINS), ask_forward()
        chains = hear(asked)
        ours = chains.partition("table inet guestnet {")[2].partition("\n}")[0]
        if "\tchain forward {" not in ours:
            log("the table inet guestnet is missing; it is put back")
            rebuild(sure)
        for trouble in admit(chains, forward):
            log(trouble)
        admit_chains(chains)
    else:
        complain()


def complain() -> None:
    """No table is prepared. That is right before the first apply; not when networks of ours are there."""
    folder, _, start = HOSTS.rpartition("/")
    if os.path.isdir(folder) and any(name.startswith(start) for name in os.listdir(folder)):
        raise HookError(f"{COMPILED}/table.nft is missing: no isolation and no forwards; run guestnet apply")


def rebuild(sure: dict[str, bool]) -> list[str]:
    """The whole table in one transaction, with the forwards of all guests that run. `sure`: name -> whether it runs,
    where libvirt's folder may not know it yet. Returns the guests passed over because what is theirs can't be used."""
    with open(f"{COMPILED}/table.nft") as source:
        text = source.read()
    running = {file[:-4] for file in os.listdir(RUNNING) if file.endswith(".xml")} if os.path.isdir(RUNNING) else set()
    for name, runs in sure.items():
        running.add(name) if runs else running.discard(name)
    passed_over = []
    parts = {"prefix NAT": translation()}
    for name in sorted(running):
        try:
            parts[name] = add(elements(name))
        except (HookError, OSError, ValueError) as trouble:  # one guest's trouble is not the others'
            log(trouble)
            passed_over.append(name)
    readable = running - set(passed_over)
    try:
        return put_in(text, parts, passed_over)
    finally:
        if os.path.exists(OUTSIDE):
            answer_for(readable)


def put_in(text: str, parts: dict[str, str], passed_over: list[str]) -> list[str]:
    """The table and what belongs in it; one by one, where nft does not take it all."""
    if nft(text + "".join(parts.values())):
        return passed_over
    # So is what nft does not take: isolation first, then each guest by itself.
    if not nft(text, quiet=False):
        raise HookError("the firewall table could not be put back")
    for name, part in parts.items():
        if part and not nft(part, quiet=False):
            log(f"{name}: nft does not take its forwards; run guestnet apply")
            passed_over.append(name)
    return passed_over
