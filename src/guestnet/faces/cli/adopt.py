"""`guestnet adopt` and `guestnet release`: a libvirt network of somebody's is taken over as it runs, or given back."""

from __future__ import annotations

from typing import Annotated

import typer

from guestnet.faces.cli.options import Never, Options

Networks = Annotated[list[str], typer.Argument(metavar="NETWORK...", help="by libvirt's name")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def adopt(context: typer.Context, networks: Networks, yes: Yes = False, never: Never = False) -> int:
    """Take over libvirt networks that are there, without restarting them: into the file, comments kept."""
    from guestnet.decide.adopted import Hands
    from guestnet.faces.cli.change import hand_over
    from guestnet.host.libvirt import Libvirt
    from guestnet.spec import edit
    from guestnet.spec.fromlibvirt import entry
    from guestnet.words.problems import GuestnetError

    options: Options = context.obj

    def make(source: bytes, libvirt: Libvirt) -> edit.Edited:
        there = libvirt.xmls()
        done = first = None
        for name in networks:
            if name not in there:
                names = ", ".join(sorted(there))
                raise GuestnetError(
                    f"libvirt has no network {name} of somebody else", f"it has {names}" if names else "it has none"
                )
            try:
                found = entry(there[name][0], autostart=there[name][1])
            except GuestnetError as error:
                raise GuestnetError(f"network {name} can't be taken over: {error.what}") from None
            done = edit.add_network(done.text.encode() if done else source, options.file, name, found)
            first = first or done.before
        if done is None or first is None:
            raise GuestnetError("no network is named")
        return edit.Edited(done.text, first, done.after, None)

    hands = Hands(adopt=frozenset(networks))
    return hand_over(options, make, hands, yes, never, verb="adopt", question="Take this over?")


def release(context: typer.Context, networks: Networks, yes: Yes = False, never: Never = False) -> int:
    """Give networks back: they run on, without forwards, reservations and rules of guestnet, and leave the file."""
    from guestnet.decide.adopted import Hands
    from guestnet.faces.cli.change import hand_over
    from guestnet.host.libvirt import Libvirt
    from guestnet.spec import edit

    options: Options = context.obj

    def make(source: bytes, _libvirt: Libvirt) -> edit.Edited:
        done = edit.remove_network(source, options.file, networks[0])
        first = done.before
        for name in networks[1:]:
            done = edit.remove_network(done.text.encode(), options.file, name)
        return edit.Edited(done.text, first, done.after, None)

    hands = Hands(release=frozenset(networks))
    return hand_over(options, make, hands, yes, never, verb="release", question="Give this back?")
