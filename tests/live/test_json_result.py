"""--format json of verbs that change the host: one document of what they did, left and kept to go back by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab import Lab
from lab.host import GUESTNET
from tests.live.conftest import FILE, SEED
from tests.live.test_undo import without

pytestmark = pytest.mark.lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.host.guestnet("plan", check=False)
        lab.host.write(FILE, SEED)
        yield lab


def told(lab: Lab, *args: str, code: int = 0, prefix: tuple[str, ...] = ()) -> dict[str, Any]:
    done = lab.host.run([*prefix, GUESTNET, "--format", "json", *args], check=False)
    assert done.returncode == code, done
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_was_done(lab: Lab) -> None:
    failed = told(lab, "apply", "--yes", code=1, prefix=without("ip6tables"))
    assert (failed["result"]["outcome"], failed["result"]["done"]) == ("undone", [])
    assert "broken on purpose" in failed["problems"][0]["what"]

    refused = told(lab, "apply", code=1)
    assert refused["result"]["outcome"] == "refused"
    assert refused["problems"][0]["todo"] == "say --yes to go on without being asked"
    assert refused["changes"], "the plan is told, too"

    planned = told(lab, "plan")
    assert "result" not in planned
    done = told(lab, "apply", "--yes", "--confirm", "60")
    assert (done["result"]["outcome"], done["result"]["rollback"], done["result"]["confirm_within"]) == (
        "done",
        True,
        60,
    )
    assert done["result"]["done"] == [change["summary"] for change in planned["changes"]]
    assert (done["problems"], done["digest"]) == ([], planned["digest"])
    confirmed = told(lab, "confirm")["result"]
    assert (confirmed["done"], confirmed["rollback"]) == (["confirmed: what was applied stays"], True)
    assert told(lab, "apply", "--yes")["result"]["outcome"] == "nothing to do"

    added = told(lab, "forward", "add", "web1", "7070:70")["result"]
    assert (added["verb"], added["outcome"], added["rollback"]) == ("forward add", "done", True)
    assert added["said"][-1].startswith("added to web1: 7070:70, in force")
    unknown = told(lab, "forward", "remove", "web1", "9", code=1)
    assert (unknown["result"]["outcome"], len(unknown["problems"])) == ("refused", 1)

    back = told(lab, "rollback", "--yes")["result"]
    assert (back["verb"], back["outcome"], back["rollback"]) == ("rollback", "done", False)
    assert told(lab, "destroy", "--yes")["result"]["said"] == ["done: nothing of guestnet is left"]
    assert told(lab, "setup")["result"]["outcome"] == "done"
    assert told(lab, "setup", "--remove")["result"]["outcome"] == "done"


def test_what_was_done_is_told_when_nobody_reads_the_rest(lab: Lab) -> None:
    unheard = ("sh", "-c", 'exec "$@" 2>/dev/full', "sh")
    assert told(lab, "apply", "--yes", "--confirm", "60", prefix=unheard)["result"]["outcome"] == "done"
    assert told(lab, "confirm", prefix=unheard)["result"]["outcome"] == "done"
    assert told(lab, "rollback", "--yes", prefix=unheard)["result"]["outcome"] == "done"
