"""Keeps a sample's functions from answering with objects that decide for themselves what they equal.

A test compares an answer with what is expected; `__eq__` of a class that the sample made would settle that in the
sample's favour. An answer, and everything in it, must therefore be of a type that Python or its library made, or of a
class that leaves comparing and arithmetic as it inherited them.
"""

import sys

# What a class may define without a say in how its objects compare or compute.
HARMLESS = frozenset(
    "__init__ __new__ __repr__ __str__ __format__ __doc__ __module__ __dict__ __weakref__ __slots__ __qualname__"
    " __annotations__ __match_args__ __init_subclass__ __orig_bases__ __parameters__ __abstractmethods__ _abc_impl"
    " __getnewargs__ __getstate__ __setstate__ __reduce__ __reduce_ex__ __del__ __static_attributes__"
    " __firstlineno__ __post_init__ __dataclass_fields__ __dataclass_params__ __classcell__ __set_name__"
    " __annotate__ __annotate_func__ __annotations_cache__ __replace__".split()
)
SCALARS = frozenset((int, float, str, bool, bytes, complex, type(None), range, bytearray))
SEQUENCES = frozenset((list, tuple, set, frozenset))
HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement or by type()
DEEPEST = 200
bases_of = type.__dict__["__mro__"].__get__
contents_of = type.__dict__["__dict__"].__get__
flags_of = type.__dict__["__flags__"].__get__
module_of = type.__dict__["__module__"].__get__
name_of = type.__dict__["__qualname__"].__get__


def all_classes():
    """Every class that there is now."""
    found, left = set(), [object]
    while left:
        kind = left.pop()
        if kind not in found:
            found.add(kind)
            left += type.__subclasses__(kind)
    return frozenset(found)


PRESENT = all_classes()
PRELOADED = frozenset(sys.modules.values())


class ForgedAnswer(AssertionError):
    """An answer whose class says itself what it equals."""


def guarded_namespace(namespace, clean_builtins, names):
    """A copy of the sample's namespace for the tests, with clean built-ins and with the named functions guarded."""
    copied = dict(namespace)
    copied["__builtins__"] = clean_builtins
    for name in names:
        if name in copied and not isinstance(copied[name], type):  # of a class the tests may make instances
            copied[name] = guard(copied[name])
    return copied


def guard(function):
    """The function, with every answer looked at before the tests get it."""

    def guarded(*args, **kwargs):
        answer = function(*args, **kwargs)
        if type(answer) not in SCALARS:
            plain(answer)
        return answer

    return guarded


def plain(value, depth=0):
    """Returns the value; raises ForgedAnswer where it, or anything in it, is of a class that compares as it likes."""
    kind = type(value)
    if kind in SCALARS or depth > DEEPEST:
        return value
    if kind not in SEQUENCES and kind is not dict:
        refuse_own_comparing(kind)
    if isinstance(value, dict):
        for item in dict.keys(value):
            if type(item) not in SCALARS:
                plain(item, depth + 1)
        items = dict.values(value)
    elif kind in SEQUENCES:
        items = value
    elif isinstance(value, (list, tuple, set, frozenset)):
        base = next(base for base in (list, tuple, set, frozenset) if isinstance(value, base))
        items = base.__iter__(value)
    else:
        return value
    for item in items:
        if type(item) not in SCALARS:
            plain(item, depth + 1)
    return value


def refuse_own_comparing(kind):
    for base in bases_of(kind):
        if base in PRESENT or not flags_of(base) & HEAP_TYPE or from_library(base):
            continue
        telling = sorted(str(name) for name in contents_of(base) if name[:2] == "__" and name not in HARMLESS)
        if type(base) is not type and type(base) not in PRESENT:
            telling.append("a metaclass")
        if telling:
            raise ForgedAnswer("the answer is of a class that defines %s itself" % ", ".join(telling))


def from_library(kind):
    """Whether an installed module, imported since, has the class under its name."""
    module = sys.modules.get(str(module_of(kind)))
    if (
        module is None
        or module in PRELOADED
        or not str(getattr(module, "__file__", None)).startswith((sys.prefix, sys.base_prefix))
    ):
        return False
    return vars(module).get(name_of(kind)) is kind
