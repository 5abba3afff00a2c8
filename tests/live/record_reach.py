"""What packets say of a matrix, for the tests that need no lab: `python -m tests.live.record_reach` as root writes it.

The host is test_reach's, and as its file says.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lab import Lab
from tests.live.conftest import apply
from tests.live.test_reach import FILE, UPSTREAM

RECORD = Path(__file__).parent.parent / "decide" / "measured.json"
# In the host, with the product's own code: each time that answers are judged, they are written down.
DUMP = """
import json
from guestnet.act import measure
from guestnet.faces.cli import run
judge, found = measure.judge, []
def writes(cell, heard, *rest):
    ends = [end.name or end.kind for end in (cell.source, cell.target)]
    answers = [[one.way, one.protocol, one.to, one.outcome, one.by] for one in heard]
    found.append([*ends, cell.family, answers])
    return judge(cell, heard, *rest)
measure.judge = writes
if run(["reach", "--probe", "-f", "/etc/guestnet/guestnet.yaml"]) == 0:
    open("/run/measured.json", "w").write("[\\n" + ",\\n".join(map(json.dumps, found)) + "\\n]\\n")
"""


def main() -> None:
    with Lab() as lab:
        apply(lab.host, FILE)
        lab.inet.shell(UPSTREAM)
        lab.host.run([sys.executable, "-c", DUMP])
        RECORD.write_text(lab.host.read("/run/measured.json"))
    print(f"{len(json.loads(RECORD.read_text()))} cells in {RECORD}")


if __name__ == "__main__":
    main()
