"""In which order a guest's getaddrinfo() returns the addresses of a name, and by which rule.

Pure, as all of `decide`: what the kernel would choose as source addresses is worked out from a description of the host
(`kernel4`, `kernel6`), never asked. Each resolver is a module of its own, because each leaves the RFCs elsewhere.
"""
