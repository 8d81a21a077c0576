"""Makes importable modules of the sources that came down the stream (`SOURCES`).

Runs in front of everything else, as the module `inside_loader`; `BOOTSTRAP` and `LOADER` are put in beside `SOURCES`.
"""

from __future__ import annotations

import builtins
import sys

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any, Iterable

    SOURCES: dict[str, str]
    BOOTSTRAP: str

CLEAN_BUILTINS = dict(builtins.__dict__)


class Finder:
    """Finds `inside` and its modules in a dictionary of sources; compiles one when it is first imported."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None):
        package, _, name = fullname.partition(".")
        if package != "inside" or (name or "__init__") not in SOURCES:
            return None
        return type(sys.__spec__)(fullname, Finder, is_package=not name)

    @staticmethod
    def create_module(spec: Any):
        return None

    @staticmethod
    def exec_module(module: Any):
        name = module.__name__.partition(".")[2] or "__init__"
        # Built-in functions of our own: what a sample does to its ones changes nothing in ours.
        module.__dict__["__builtins__"] = CLEAN_BUILTINS
        exec(compile(SOURCES[name], f"<inside/{name}>", "exec", dont_inherit=True), module.__dict__)


def program(names: Iterable[str], ending: str):
    """A program of the named modules for another interpreter of this container, behind 4 bytes of length."""
    sources = {name: SOURCES[name] for name in names}
    text = f"SOURCES = {sources!r}\nBOOTSTRAP = {BOOTSTRAP!r}\nLOADER = {LOADER!r}\nexec(LOADER)\n{ending}\n"
    data = text.encode()
    return len(data).to_bytes(4, "big") + data


def disappear():
    """Takes what was loaded out of reach of `import`: samples that fork from here find none of it under a name."""
    global LOADER
    SOURCES.clear()
    LOADER = ""  # pyright: ignore[reportConstantRedefinition]
    sys.meta_path.remove(Finder)
    for name in [name for name in sys.modules if name.split(".")[0] in ("inside", "inside_loader")]:
        del sys.modules[name]


sys.dont_write_bytecode = True
sys.meta_path.insert(0, Finder)
sys.modules["inside_loader"] = type(sys)("inside_loader")
sys.modules["inside_loader"].__dict__.update(globals())
