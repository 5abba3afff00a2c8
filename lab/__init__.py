"""A throw-away world for tests and the demo: a fake internet, a host with its own libvirtd, real and fake guests.

Everything lives in namespaces that the lab made; the machine's own network is never touched.
"""

from lab.errors import CommandError, LabError, WaitError
from lab.lab import Lab
from lab.probe import Answer

__all__ = ["Answer", "CommandError", "Lab", "LabError", "WaitError"]
