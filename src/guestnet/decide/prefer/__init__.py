"""A guest whose resolver puts IPv6 first: our lines in its /etc/gai.conf, for whom they help, and what is remembered.

Pure, as all of `decide`; `host.guestgai` reads and writes in the guest.
"""
