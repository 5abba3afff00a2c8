"""nft in a network namespace of its own, which ends with the call: how this host's nft prints what it is given."""

from __future__ import annotations

from guestnet.host.run import ProgramError, Talk, run
from guestnet.words.problems import GuestnetError


def printed(source: str, *listing: str) -> str:
    """What `nft LISTING` prints there, once `source` is loaded. Two runs: a listing in the same input is of what was
    there before it (nft 1.0.6). Raises ProgramError."""
    holder = Talk("unshare", "--net", "cat")
    try:
        try:
            holder.say(there=True)  # it answers from in there
        except GuestnetError as error:
            raise ProgramError(f"unshare: {holder.last_words() or error.what}") from error
        inside = ("nsenter", f"--net=/proc/{holder.pid}/ns/net", "nft")
        run(*inside, "-f", "-", given=source)
        return run(*inside, *listing)
    finally:
        holder.close()
