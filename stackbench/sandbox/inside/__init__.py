"""What runs inside a sandbox container; the host sends these modules' sources down the attached stream.

Standard library only, Python 3.9 or newer, no imports from the rest of the package. `loader` runs first, `main` is the
container's process 1. Only `zygote` forks processes for code samples, so that process 1 stays free to talk.
"""
