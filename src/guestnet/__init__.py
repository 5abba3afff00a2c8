"""guestnet: the networks of libvirt/KVM guests from one file."""

__version__ = "0.1.0"
