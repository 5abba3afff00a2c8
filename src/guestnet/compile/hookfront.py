"""The file that libvirt runs as its hook: it imports the hook's program (hookprogram.py), so that it is compiled once.

Python compiles the file it is given anew at every start, which takes the program longer than all that it does; a module
is compiled once. libvirt runs three hooks one after the other before a guest starts.
"""

from __future__ import annotations

PROGRAM = "/var/lib/guestnet/hook.py"
COMPILED = "/run/guestnet/python"  # Python's own: made by the first run after a boot, or after the program changed

_TEXT = """\
#!/usr/bin/python3 -ISEXutf8
# libvirt's hook for guestnet: runs {program}, which says there what it does.
#
# The program is imported, so that Python keeps it compiled (in {compiled}): to compile it takes longer than to run it.
# What Python keeps there may be damaged; then it is made anew. And whatever happens, a guest must start: this ends
# with 0 but for guestnet.service's `rules`.

import os
import sys

sys.path.insert(0, "{folder}")
sys.pycache_prefix = "{compiled}"
try:
    for path in ("{folder}", "{program}"):
        found = os.stat(path)
        if found.st_uid or found.st_mode & 0o022:
            raise PermissionError(f"others than root may write {{path}}")
    try:
        from hook import run
    except (EOFError, TypeError, ValueError):
        os.unlink(f"{compiled}{folder}/hook.{{sys.implementation.cache_tag}}.pyc")
        from hook import run
    del sys.path[0]
    run()
except Exception as error:
    os.write(2, f"guestnet: the hook's program does not start ({{error}}); run guestnet plan\\n".encode())
    os._exit(int(sys.argv[2:3] == ["rules"]))
"""


def text() -> str:
    """The hook's file, executable, for hooks/qemu.d and hooks/network.d alike."""
    return _TEXT.format(program=PROGRAM, folder=PROGRAM.rpartition("/")[0], compiled=COMPILED)
