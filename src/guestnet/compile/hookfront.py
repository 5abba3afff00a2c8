"""The file that libvirt runs as its hook: it imports the hook's program (hookprogram.py), so that it is compiled once.

Python compiles the file it is given anew at every start, which takes the program longer than all that it does; a module
is compiled once. libvirt runs three hooks one after the other before a guest starts.

It is a shell's, because a hook that can't be run at all keeps guests from starting, and a restart of libvirtd then ends
those that run: a python3 that is missing or broken, as in the middle of an upgrade of the system, must do neither. The
shell passes what libvirt says on as it is; it reads nothing of it but whether the operation is `rules`.
"""

from __future__ import annotations

PROGRAM = "/var/lib/guestnet/hook.py"
RUN = "/run/guestnet"
COMPILED = f"{RUN}/python"  # Python's own: made by the first run after a boot, or after the program changed

# No apostrophe inside: it would end the text that Python is given.
_TEXT = """\
#!/bin/sh
# Hook of libvirt for guestnet: runs {program}, which says there what it does.
#
# The program is imported, so that Python keeps it compiled (in {compiled}): to compile it takes longer than
# to run it. What Python keeps there may be damaged; then it is made anew. And whatever happens, also without Python, a
# guest must start: this ends with 0, but for the operation `rules` of guestnet.service.

/usr/bin/python3 -ISEXutf8 -c '
import os
import sys

del sys.argv[0]
os.umask(0o022)


def lax(path):
    found = os.stat(path)
    return found.st_uid or found.st_mode & 0o022


sys.path.insert(0, "{folder}")
sys.pycache_prefix = "{compiled}"
try:
    for path in filter(lax, ("{folder}", "{program}")):
        raise PermissionError(f"others than root may write {{path}}")
    if any(map(lax, filter(os.path.exists, ("{run}", "{compiled}")))):
        sys.pycache_prefix, sys.dont_write_bytecode = None, True
    try:
        from hook import run
    except (EOFError, TypeError, ValueError):
        os.unlink(f"{compiled}{folder}/hook.{{sys.implementation.cache_tag}}.pyc")
        from hook import run
    del sys.path[0]
    run()
except Exception as error:
    os.write(2, f"guestnet: the program of the hook does not start ({{error}}); run guestnet plan\\n".encode())
    os._exit(1)
' "$0" "$@" || [ "$2" != rules ]
"""


def text() -> str:
    """The hook's file, executable, for hooks/qemu.d and hooks/network.d alike."""
    return _TEXT.format(program=PROGRAM, folder=PROGRAM.rpartition("/")[0], compiled=COMPILED, run=RUN)
