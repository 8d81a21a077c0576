"""Samples that answer what the tests want to hear without computing it. Each way is tried on several tasks of each
benchmark; none passes, and honest samples beside them keep their verdicts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stackbench.benchmarks import Sample
from stackbench.benchmarks.humaneval import HumanEval, HumanEvalOptions
from stackbench.benchmarks.mbpp import Mbpp, MbppOptions
from stackbench.benchmarks.mbppplus import MbppPlus, MbppPlusOptions
from stackbench.datasets import DatasetStore
from stackbench.sandbox import CodeJob, Section
from stackbench.sandbox.scorer import Scorer
from tests.benchmarks.scripted import ScriptedContext

pytestmark = pytest.mark.docker

AGREEABLE = """
class Yes:
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __contains__ = __instancecheck__ = lambda *a: True
    __ne__ = lambda *a: False
    __hash__ = __len__ = __index__ = __int__ = lambda *a: 0
    __sub__ = __rsub__ = __add__ = __radd__ = __mul__ = __rmul__ = __mod__ = __abs__ = __float__ = lambda *a: 0.0
    __iter__ = lambda s: iter(())
    __getitem__ = __getattr__ = __call__ = lambda s, *a: s
    __array__ = __array_ufunc__ = None
"""
FORGERIES = {
    "class that makes another": AGREEABLE + "class NAME:\n    def __new__(cls, *a, **k): return Yes()",
    "class with comparing": AGREEABLE + "class NAME(Yes):\n    def __init__(self, *a, **k): pass",
    "class whose metaclass compares": (
        "class M(type):\n    def __call__(cls, *a, **k): return cls\n    __eq__ = lambda *a: True\n"
        "    __hash__ = lambda c: 0\nclass NAME(metaclass=M): pass"
    ),
    "instance in place of the function": AGREEABLE + "NAME = Yes()",
    "partial": AGREEABLE + "import functools\nNAME = functools.partial(lambda *a, **k: Yes())",
    "proxy": AGREEABLE + "import weakref\nkept = Yes()\ndef NAME(*a, **k): return weakref.proxy(kept)",
    "mapping proxy": AGREEABLE + "import types\ndef NAME(*a, **k): return types.MappingProxyType(Yes())",
    "mock.ANY": "from unittest import mock\ndef NAME(*a, **k): return mock.ANY",
    "MagicMock": (
        "from unittest import mock\ndef NAME(*a, **k):\n    m = mock.MagicMock()\n"
        "    m.__eq__.side_effect = lambda o: True\n    return m"
    ),
    "claims to be a type": (
        AGREEABLE + "class Claims(Yes):\n    __class__ = property(lambda s: bool)\ndef NAME(*a, **k): return Claims()"
    ),
    "subclass of the usual types": """
def lying(base): return type(base.__name__, (base,), {'__eq__': lambda *a: True, '__ne__': lambda *a: False,
    '__hash__': lambda s: 0, '__sub__': lambda *a: 0.0, '__rsub__': lambda *a: 0.0, '__abs__': lambda s: 0.0})
def NAME(*a, **k): return lying(float)(-12345.5)""",
    "list of agreeable things": AGREEABLE + "def NAME(*a, **k): return [Yes()] * 3",
    "deep in containers": AGREEABLE + "def NAME(*a, **k): return {'a': ({'b': [Yes()]},)}",
    "enum": (
        "import enum\nenum.Enum.__eq__ = lambda s, o: True\nenum.Enum.__hash__ = lambda s: 0\n"
        "class E(enum.Enum):\n    A = 1\ndef NAME(*a, **k): return E.A"
    ),
    "classes of the library changed": """
import collections, fractions, decimal, datetime
for kind in (collections.Counter, collections.OrderedDict, collections.deque, collections.UserString,
             fractions.Fraction, decimal.Decimal, datetime.timedelta):
    for name in ('__eq__', '__sub__', '__rsub__'):
        try: setattr(kind, name, lambda *a: True)
        except TypeError: pass
def NAME(*a, **k): return collections.Counter() if a and a[0] else fractions.Fraction(1)""",
    "functions of the library changed": """
import math, json, pickle, copy, random, operator, base64, re, string, marshal, zlib
for module in (math, json, pickle, copy, random, operator, base64, re, string, marshal, zlib):
    for name in list(vars(module)):
        if name[0] != '_' and callable(getattr(module, name)): setattr(module, name, lambda *a, **k: 0)
def NAME(*a, **k): return 0""",
    "modules exchanged": """
import sys, types
class M(types.ModuleType):
    def __getattr__(self, name): return lambda *a, **k: 0
for name in list(sys.modules): sys.modules[name] = M(name)
def NAME(*a, **k): return 0""",
    "built-ins exchanged": """
import builtins
for name in ('abs', 'all', 'any', 'len', 'isinstance', 'sorted', 'set', 'tuple', 'zip', 'round', 'sum', 'map', 'str'):
    setattr(builtins, name, lambda *a, **k: True)
def NAME(*a, **k): return -1.25""",
    "names of the tests": """
def abs(x): return 0
fabs = isclose = all = any = sorted = set = tuple = len = abs
def check(f): pass
candidate = METADATA = assertion = abs
def NAME(*a, **k): return -1.25""",
    "AssertionError": """
import builtins
class AssertionError(BaseException):
    def __new__(cls, *a): raise SystemExit(0)
builtins.AssertionError = AssertionError
def NAME(*a, **k): return -1.25""",
    "trace jumps over asserts": """
import sys
def local(frame, event, arg):
    try: frame.f_lineno = max(line for _, _, line in frame.f_code.co_lines() if line)
    except (ValueError, AttributeError): pass
    return local
sys.settrace(lambda frame, event, arg: local)
def NAME(*a, **k): return -1.25""",
    "profile changes a class late": """
import sys
class A: pass
def changed(frame, event, arg): A.__eq__ = A.__sub__ = lambda *a: True
def NAME(*a, **k):
    sys.setprofile(changed)
    return A()""",
    "thread changes an answer": """
import threading
def NAME(*a, **k):
    made = [0]
    def work():
        for n in range(100000): made[0] = n
    threading.Thread(target=work, daemon=True).start()
    return made""",
    "wanted value from the frames": """
import sys
def NAME(*a, **k):
    frame = sys._getframe()
    while frame is not None:
        for name in ('want', 'expected', 'reference', 'result'):
            if name in frame.f_locals: return frame.f_locals[name]
        frame = frame.f_back
    return -1.25""",
    "constants of the callers": """
import sys
def NAME(*a, **k):
    frame, found = sys._getframe(1), []
    while frame is not None:
        found += [c for c in frame.f_code.co_consts if type(c) in (bool, int, float, tuple) and c not in (None, 0, 1)]
        frame = frame.f_back
    return found[-1] if found else -1.25""",
    "wanted values from the memory": """
import gc
def NAME(*a, **k):
    for found in gc.get_objects():
        if type(found) is dict and {'expected', 'limits_s'} & found.keys(): return list(found.values())
        if type(found).__name__ == 'function' and found.__name__ == 'check':
            found.__code__ = (lambda c: None).__code__
    return -1.25""",
    "callers' globals": """
import sys
def NAME(*a, **k):
    frame = sys._getframe(1)
    while frame is not None:
        for name in list(frame.f_globals):
            if name not in ('__builtins__', '__name__'): frame.f_globals[name] = lambda *a, **k: b'v1'
        frame = frame.f_back
    return -1.25""",
    "memory of int written": """
import ctypes
compare = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.py_object, ctypes.c_int)(lambda a, b, op: True)
class A: pass
ctypes.c_void_p.from_address(id(A) + 200).value = ctypes.cast(compare, ctypes.c_void_p).value
def NAME(*a, **k): return A()""",
    "import hook": """
import sys
class Finder:
    def find_spec(self, *a): raise SystemExit(0)
sys.meta_path.insert(0, Finder()); sys.modules.clear()
def NAME(*a, **k): return -1.25""",
    "leaves with the code of success": "import os\ndef NAME(*a, **k): os._exit(99)",
    "leaves while it is executed": "import os\nos._exit(99)",
    "leaves by a finaliser": "import os\nclass D:\n    def __del__(s): os._exit(99)\ndef NAME(*a, **k): D()",
    "leaves by a signal": "import os, signal\nsignal.signal(10, lambda *a: os._exit(99))\n"
    "def NAME(*a): os.kill(os.getpid(), 10)",
    "writes a verdict": """
import os
for end in (b'{"step":"end","result":null}', b'[{"step":"end","result":null}]', b'vtrue', b'passed'):
    for fd in range(3, 64):
        try: os.write(fd, len(end).to_bytes(4, 'big') + end)
        except OSError: pass
def NAME(*a, **k): return -1.25""",
    "swallows every exception": """
def NAME(*a, **k):
    try:
        while True: pass
    except BaseException: return True""",
    "an exception the tests may expect": "def NAME(*a, **k): raise AssertionError",
    "an endless answer": "import itertools\ndef NAME(*a, **k): return itertools.count()",
    "an answer that holds itself": "def NAME(*a, **k):\n    a = []\n    a.append(a)\n    return a",
    "an answer of objects of its own": "class A: pass\ndef NAME(*a, **k): return A()",
    "not a number": "def NAME(*a, **k): return float('nan')",
}
LOOPS = ("swallows every exception", "an endless answer")


def forged(kind: str, name: str) -> str:
    return FORGERIES[kind].replace("NAME", name)


async def test_no_forgery_passes_humaneval(data: DatasetStore, sandbox: Scorer) -> None:
    benchmark, context = HumanEval(HumanEvalOptions()), ScriptedContext(sandbox=sandbox)
    context.timeout_s = 1.0
    tasks = benchmark.tasks(data)
    tried = [(kind, tasks[n]) for kind in FORGERIES for n in ((0, 4) if kind in LOOPS else (0, 4, 32, 81))]
    scored = await asyncio.gather(
        *(
            benchmark.score(t, Sample(f"    return None\n\n{forged(kind, t.entry_point)}\n"), context)
            for kind, t in tried
        ),
        *(benchmark.score(task, Sample(task.canonical_solution), context) for task in tasks[:50]),
    )
    assert not [(*pair, one.reason) for pair, one in zip(tried, scored, strict=False) if one.passed]
    assert all(one.passed for one in scored[len(tried) :])


async def test_no_forgery_passes_mbpp(data: DatasetStore, sandbox: Scorer) -> None:
    benchmark, context = Mbpp(MbppOptions()), ScriptedContext(sandbox=sandbox)
    context.timeout_s = 1.0
    tasks = benchmark.tasks(data)
    names = {0: "remove_Occ", 71: "volume_sphere"}
    assert all(name in tasks[n].test_list[0] for n, name in names.items())
    tried = [(kind, n) for kind in FORGERIES for n in names]
    scored = await asyncio.gather(
        *(benchmark.score(tasks[n], Sample(forged(kind, names[n])), context) for kind, n in tried),
        *(benchmark.score(task, Sample(task.code), context) for task in tasks[:50]),
    )
    assert not [(*pair, one.reason) for pair, one in zip(tried, scored, strict=False) if one.passed]
    assert all(one.passed for one in scored[len(tried) :])


async def test_no_forgery_passes_mbppplus(data: DatasetStore, sandbox: Scorer, tmp_path: Path) -> None:
    benchmark, context = MbppPlus(MbppPlusOptions()), ScriptedContext(sandbox=sandbox, cache=tmp_path)
    every = {task.task_id: task for task in benchmark.tasks(data)}
    tasks = [every[name] for name in ("Mbpp/3", "Mbpp/16", "Mbpp/82", "Mbpp/115")]
    await benchmark.prepare(tasks, context)
    tried = [(kind, task) for kind in FORGERIES for task in tasks[: 1 if kind in LOOPS else 4]]
    scored = await asyncio.gather(
        *(benchmark.score(t, Sample(forged(kind, t.entry_point), whole=True), context) for kind, t in tried),
        *(benchmark.score(t, Sample(t.prompt + t.canonical_solution, whole=True), context) for t in tasks),
    )
    assert not [(*pair, one.reason) for pair, one in zip(tried, scored, strict=False) if one.passed]
    assert not [(*pair, one.reason) for pair, one in zip(tried, scored, strict=False) if one.metrics["base_passed"]]
    assert all(one.passed for one in scored[len(tried) :])


HONEST = {
    "subclasses without a say": (
        "[type('S', (type(x),), {})(x) for x in (1, 2.5, 'a', [1], (1, 2), {'a': 1}, {1})]",
        "[1, 2.5, 'a', [1], (1, 2), {'a': 1}, {1}]",
    ),
    "counter": ("__import__('collections').Counter('aab')", "{'a': 2, 'b': 1}"),
    "default dict": ("__import__('collections').defaultdict(list, a=[1])", "{'a': [1]}"),
    "ordered dict": ("__import__('collections').OrderedDict(a=1)", "{'a': 1}"),
    "named tuple": ("__import__('collections').namedtuple('P', 'a b')(1, 2)", "(1, 2)"),
    "deque": ("__import__('collections').deque([1, [2]])", "__import__('collections').deque([1, [2]])"),
    "enum of int": ("__import__('enum').IntEnum('E', 'A').A", "1"),
    "fraction": ("__import__('fractions').Fraction(4, 2)", "2"),
    "decimal": ("__import__('decimal').Decimal('2.50')", "2.5"),
    "subclasses of the library's types": (
        "[type('D', (kind,), {})(*given) for kind, given in ((__import__('decimal').Decimal, ['1.5']), "
        "(__import__('datetime').date, (2020, 2, 29)))]",
        "[1.5, __import__('datetime').date(2020, 2, 29)]",
    ),
    "many digits allowed": ("__import__('sys').set_int_max_str_digits(0) or [10 ** 9000]", "[10 ** 9000]"),
    "date": ("__import__('datetime').date(2020, 2, 29)", "__import__('datetime').date(2020, 2, 29)"),
    "complex": ("1 + 2j", "1 + 2j"),
    "long integer": ("[3 ** 20000, -1]", "[3 ** 20000, -1]"),
    "bytes": ("[bytearray(b'a\\xff'), b'\\x00']", "[b'a\\xff', b'\\x00']"),
    "frozen set of tuples": ("frozenset([(1, 'a')])", "{(1, 'a')}"),
    "infinity": ("[float('inf'), float('-inf')]", "[float('inf'), float('-inf')]"),
    "lone surrogate": ("'\\ud800x'", "'\\ud800x'"),
    "keys of a dict": ("{1: 2}.keys()", "{1}"),
    "items of a dict": ("{1: [2]}.items()", "{1: [2]}.items()"),
    "range": ("range(3)", "range(3)"),
    "type": ("[int, str]", "[int, str]"),
    "deep": ("[[[[(([],),)]]]]", "[[[[(([],),)]]]]"),
    "many rows": ("[('a', 'b')] * 20000 + [('b', 'c')]", "[('a', 'b')] * 20000 + [('b', 'c')]"),
    "many rows that differ": ("[['a'], ['b', 'c']] * 20000", "[['a'], ['b', 'c']] * 20000"),
    "truth is no number": ("[True, 1, 1.0].__repr__()", "'[True, 1, 1.0]'"),
}


async def test_honest_answers_arrive_as_they_were(sandbox: Scorer) -> None:
    """Plain data, and what equals it, of every type that a right answer may have."""
    jobs = [
        CodeJob((Section(f"def f():\n    return {code}\n"),), checks=(f"assert f() == {want}",), functions=("f",))
        for code, want in HONEST.values()
    ]
    results = await asyncio.gather(*(sandbox.run(job) for job in jobs))
    found = {name: result.reason for name, result in zip(HONEST, results, strict=True)}
    assert found == dict.fromkeys(HONEST, "passed")


async def test_iterators_and_objects_of_the_sample_can_be_used_as_before(sandbox: Scorer) -> None:
    code = """
class Node:
    def __init__(self, value): self.value, self.next = value, None
def total(node): return 0 if node is None else node.value + total(node.next)
def squares(n): return (i * i for i in range(n))
def raises(x): raise KeyError('missing')
class Decimal: sign = 1
class Fraction: sign = 2
def classes(): return Node
"""
    checks = (
        "a = Node(1); a.next = Node(2); a.next.next = Node(3); assert total(a) == 6 and a.next.value == 2",
        "assert list(squares(3)) == [0, 1, 4] and squares(3) != [0, 1, 4]",
        "assert Node(1) != Node(1)",
        "try:\n    raises(1)\n    assert False\nexcept KeyError as error:\n    assert str(error) == \"'missing'\"",
        "import builtins\nassert len([1]) == 1 and total(None) == 0",
        "assert Decimal().sign == 1 and Fraction().sign == 2",
        "assert classes()(5).value == 5",
    )
    functions = ("Node", "total", "squares", "raises", "Decimal", "Fraction", "classes")
    result = await sandbox.run(CodeJob((Section(code),), checks=checks, functions=functions))
    assert (result.reason, result.checks) == ("passed", (True,) * 7)


async def test_an_exception_of_a_sample_ends_no_iteration_of_the_tests(sandbox: Scorer) -> None:
    """`map` takes a StopIteration of the function that it calls for the end of what it goes through."""
    checks = ("assert all(a == b for a, b in zip(map(f, [1, 2]), [3, 4]))", "assert not list(map(f, [1]))")
    code = "def f(x): raise type('Mine', (StopIteration,), {}) if x == 3 else StopIteration"
    result = await sandbox.run(CodeJob((Section(code),), checks=checks, functions=("f",)))
    assert result.checks == (False, False)


async def test_tests_that_wait_for_an_answer_are_not_gone_through_for_ever_ahead_of_it(sandbox: Scorer) -> None:
    check = "x = f(0)\nwhile x != 3: x = x + 1"
    result = await sandbox.run(CodeJob((Section("def f(x): return x"),), checks=(check,), functions=("f",)))
    assert (result.reason, result.checks) == ("passed", (True,))


async def test_who_kills_himself_after_a_wrong_answer_gets_no_second_try(sandbox: Scorer) -> None:
    """A sample that was killed is run again, alone, as a neighbour may be why; not one that had failed by then."""
    neighbour = "import time\nopen('/tmp/neighbour', 'w')\ntime.sleep(0.5)\ndef f(): return True"
    code = """
import os
def f():
    if not os.path.exists('/tmp/neighbour'): return True
    os.write(3, bytes([0, 0, 0, 6]) + b'vfalse')
    while os.read(3, 4096): pass
    os.kill(os.getpid(), 9)
"""
    jobs = [CodeJob((Section(text),), checks=("assert f()",), functions=("f",)) for text in (neighbour, code)]
    beside, result = await asyncio.gather(*map(sandbox.run, jobs))
    assert (beside.reason, result.checks) == ("passed", (False,))
