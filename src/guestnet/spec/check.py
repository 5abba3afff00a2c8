"""Rules between the values of the file. Pure, and on the file alone: what collides with the host shows in the plan.

Only what is written is judged: an `auto` cannot be wrong. Every rule runs, whatever the others found.
"""

from __future__ import annotations

from guestnet.spec.checkforwards import forward_problems
from guestnet.spec.checkguests import guest_problems
from guestnet.spec.checknetworks import network_problems
from guestnet.spec.checkprefix import prefix_problems
from guestnet.spec.document import Loaded
from guestnet.spec.models import Spec
from guestnet.words.problems import Problem


def check(spec: Spec, loaded: Loaded, whole: Loaded) -> list[Problem]:
    """All problems between values. `loaded` is what `spec` was made of, `whole` the file with what was left out of it.

    What is in `whole` only is a problem already: nothing that depends on it is called wrong because of it.
    """
    return [
        *network_problems(spec, loaded, whole),
        *prefix_problems(spec, loaded),
        *guest_problems(spec, loaded, whole),
        *forward_problems(spec, loaded),
    ]
