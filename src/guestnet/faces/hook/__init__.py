"""libvirt's hook: begin with `main`. Its parts import nothing of guestnet but each other, and are installed as one file
(guestnet.compile.hookprogram)."""
