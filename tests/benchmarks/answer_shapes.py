# ruff: noqa: E501
"""Ways in which models write a right answer, and wrong ones, to: the mean of a list of numbers, `mean(values)`."""

from __future__ import annotations

HEADER = '''from typing import List


def mean(values: List[float]) -> float:
    """The arithmetic mean.

    >>> mean([1.0, 2.0])
    1.5
    """
'''
CODE = "def mean(values):\n    return sum(values) / len(values)\n"
WRONG = "def mean(values):\n    return sum(values)\n"
STUB = 'def mean(values):\n    """The arithmetic mean."""\n'
FENCED = f"```python\n{CODE}```"
TOTAL = "def total(values):\n    return sum(values)\n"
USES_TOTAL = "def mean(values):\n    return total(values) / len(values)\n"


def indented(text: str, by: str) -> str:
    return "".join(f"{by}{line}" if line.strip() else line for line in text.splitlines(keepends=True))


def prompted(text: str) -> str:
    lines = text.rstrip("\n").split("\n")
    return "\n".join([f">>> {lines[0]}", *(f"... {line}" for line in lines[1:]), "...", ">>> mean([1, 2])", "1.5"])


RIGHT: dict[str, str] = {
    "plain fence": FENCED,
    "no language": f"```\n{CODE}```",
    "language py": f"Sure!\n```py\n{CODE}```\nIt divides the sum by the count.",
    "language py3": f"```py3\n{CODE}```",
    "language Python": f"```Python\n{CODE}```",
    "language with a version": f"```python3.12\n{CODE}```",
    "language and version apart": f"```Python 3\n{CODE}```",
    "language behind a space": f"``` python\n{CODE}```",
    "language in braces": f"```{{.python}}\n{CODE}```",
    "language in braces with attributes": f'```{{.python .numberLines startFrom="1"}}\n{CODE}```',
    "language with attributes": f'```python title="mean.py" linenums="1"\n{CODE}```',
    "language of a notebook": f"```ipython\n{CODE}```",
    "file name in place of a language": f"```mean.py\n{CODE}```",
    "language with a colon": f"```python:mean.py\n{CODE}```",
    "fence behind words": f"Here is the function: ```python\n{CODE}```",
    "bare fence behind words": f"Here it is: ```\n{CODE}```\nDone.",
    "code on the fence's line": f"```{CODE}```",
    "language and code on the fence's line": f"```python {CODE}```",
    "one line between fences": "```python def mean(values): return sum(values) / len(values)```",
    "inline code": "Use `def mean(values): return sum(values) / len(values)`",
    "definition behind words": "Here it is: def mean(values): return sum(values) / len(values)",
    "end of the block behind code": f"```python\n{CODE.rstrip()}```",
    "words behind the end of the block": f"```python\n{CODE}``` That is all.",
    "no end of the block": f"```python\n{CODE}",
    "end of the block only": f"{CODE}```",
    "end of the block only, then words": f"{CODE}```\nIt divides.",
    "language line without a fence": f"python\n{CODE}",
    "tildes": f"~~~python\n{CODE}~~~",
    "four backticks": f"````python\n{CODE}````",
    "more backticks at the end": f"```python\n{CODE}`````",
    "a block within a block": f"````markdown\nThe function:\n```python\n{CODE}```\n````",
    "a block within a block of tildes": f"~~~~\n```python\n{CODE}```\n~~~~",
    "list item": f"- ```python\n{indented(CODE, '  ')}  ```",
    "numbered list item": f"1. The code:\n   ```python\n{indented(CODE, '   ')}   ```\n2. Done.",
    "number before the fence": f"1. ```python\n{indented(CODE, '   ')}   ```",
    "quotation": "> Here:\n> ```python\n" + indented(CODE, "> ") + "> ```",
    "quotation in a quotation": ">> ```python\n" + indented(CODE, ">> ") + ">> ```",
    "indented block": f"  ```python\n{indented(CODE, '  ')}  ```",
    "indented code without a fence": f"The code:\n\n{indented(CODE, '    ')}\nThat is it.",
    "code without a fence": CODE,
    "words before code": f"Sure, here it is:\n\n{CODE}",
    "words behind code": f"{CODE}\nThis function returns the mean.",
    "words on both sides": f"Sure:\n\n{CODE}\nIt's (I think) what you want.\n\nNote: lists must not be empty.",
    "words with brackets before code": f"The mean (see below:\n\n{CODE}",
    "words like code before code": f"for a list of numbers (say:\nimport nothing\n\n{CODE}",
    "words at the code's indentation": f"{CODE}    This divides the sum by the count.\n",
    "heading and rule": f"## Solution\n\n{FENCED}\n\n---\n### Explanation\n\n1. **Sum** them.",
    "fence in a docstring": '```python\ndef mean(values):\n    """The mean.\n\n    ```\n    mean([1])\n    ```\n'
    '    """\n    return sum(values) / len(values)\n```\nDone.',
    "language fence in a docstring": '```python\ndef mean(values):\n    """\n```python\nmean([1])\n```\n    """\n'
    "    return sum(values) / len(values)\n```",
    "fence in a string": '```python\nFENCE = "```"\ndef mean(values):\n    return sum(values) / len(values)\n```',
    "header repeated before": f"You gave\n```python\n{STUB}```\nand here it is:\n{FENCED}",
    "header repeated behind": f"{FENCED}\nIt keeps the header:\n```python\n{STUB}```",
    "header with pass before, in one block": f"```python\ndef mean(values):\n    pass\n\n{CODE}```",
    "header with dots behind, in one block": f"```python\n{CODE}\ndef mean(values): ...\n```",
    "header that raises": f"```python\ndef mean(values):\n    raise NotImplementedError()\n```\n{FENCED}",
    "first try before": f"```python\n{WRONG}```\nWait, that is the sum. Corrected:\n{FENCED}",
    "first try before, in one block": f"```python\n{WRONG}\n\n{CODE}```",
    "usage behind": f"{FENCED}\nUsage:\n```python\nprint(mean([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]))\nprint(mean([7]))\n```",
    "usage that imports": f"{FENCED}\n```python\nfrom solution import mean\nprint(mean([1]))\n```",
    "tests behind": f"{FENCED}\n```python\nimport pytest\n\ndef test_mean():\n    assert mean([1, 3]) == 2\n```",
    "output behind": f"{FENCED}\nOutput:\n```\n1.5\n```",
    "shell before": f"```bash\npip install numpy\n```\n{FENCED}",
    "another language behind": f"{FENCED}\nIn JavaScript:\n```js\nconst mean = v => v.reduce((a, b) => a + b) / v.length;\n```",
    "import in another block": "```python\nimport statistics\n```\nThen\n```python\ndef mean(values):\n"
    "    return statistics.mean(values)\n```",
    "import in a later block": "```python\ndef mean(values):\n    return statistics.mean(values)\n```\nwith\n```python\n"
    "import statistics\n```",
    "helper in another block": f"```python\n{TOTAL}```\nand\n```python\n{USES_TOTAL}```",
    "helper in a later block": f"```python\n{USES_TOTAL}```\nwhere\n```python\n{TOTAL}```",
    "helper outside the block": f"{TOTAL}\nand\n```python\n{USES_TOTAL}```",
    "constant in another block": "```python\nOFFSET = 0\n```\n```python\ndef mean(values):\n"
    "    return sum(values) / len(values) + OFFSET\n```",
    "star import in another block": "```python\nfrom math import *\n```\n```python\ndef mean(values):\n"
    "    return fsum(values) / len(values)\n```",
    "future import": f"```python\nfrom __future__ import annotations\n\n{CODE}```",
    "future import behind a comment": f'```python\n"""A module."""\nfrom __future__ import annotations, division\n{CODE}```',
    "asserts behind": f"```python\n{CODE}\nassert mean([1, 2]) == 2.5\n```",
    "demonstration behind": f"```python\n{CODE}\nprint(mean([]))\n```",
    "input at the top": f"```python\nvalues = list(map(int, input().split()))\n{CODE}\nprint(mean(values))\n```",
    "main with input": f'```python\n{CODE}\nif __name__ == "__main__":\n    print(mean([int(input())]))\n```',
    "main function": f"```python\n{CODE}\ndef main():\n    values = input()\n    print(mean(values))\n\nmain()\n```",
    "unittest": f"```python\nimport unittest\n{CODE}\nclass TestMean(unittest.TestCase):\n    def test(self):\n"
    "        self.assertEqual(mean([2]), 0)\n\nunittest.main()\n```",
    "import that is not needed": f"```python\nimport no_such_module_anywhere\n{CODE}```",
    "import that may fail": "```python\ntry:\n    import no_such_module as fast\nexcept ImportError:\n    fast = None\n"
    "def mean(values):\n    return fast.mean(values) if fast else sum(values) / len(values)\n```",
    "exit at the end": f"```python\nimport sys\n{CODE}\nsys.exit(mean([]))\n```",
    "endless loop at the end": f"```python\n{CODE}\nwhile True:\n    pass\n```",
    "table filled by a loop": "```python\nweights = {}\nfor n in range(5):\n    weights[n] = 1\n\ndef mean(values):\n"
    "    return sum(v * weights[0] for v in values) / len(values)\n```",
    "list filled by calls": "```python\nones = []\nones.append(1)\ndef mean(values):\n"
    "    return sum(values) * ones[0] / len(values)\n```",
    "recursion limit": "```python\nimport sys\nsys.setrecursionlimit(5000)\ndef mean(values):\n"
    "    return total(values) / len(values)\ndef total(values, at=0):\n"
    "    return values[at] + total(values, at + 1) if at < len(values) else 0\n```",
    "global counter": "```python\ncalls = 0\ndef mean(values):\n    global calls\n    calls += 1\n"
    "    return sum(values) / len(values)\n```",
    "decorator": "```python\nfrom functools import lru_cache\n\ndef plain(f):\n    return f\n\n@plain\ndef mean(values):\n"
    "    return sum(values) / len(values)\n```",
    "lambda": "```python\nmean = lambda values: sum(values) / len(values)\n```",
    "annotated lambda": "```python\nfrom typing import Callable\nmean: Callable = lambda values: sum(values) / len(values)\n```",
    "another name for it": "```python\ndef average(values):\n    return sum(values) / len(values)\n\nmean = average\n```",
    "imported": "```python\nfrom statistics import mean\n```",
    "class with the method": "```python\nclass Solution:\n    def mean(self, values):\n        return sum(values) / len(values)\n```",
    "class with a static method": "```python\nclass Solution:\n    @staticmethod\n    def mean(values):\n"
    "        return sum(values) / len(values)\n```",
    "helper class": "```python\nclass Sum:\n    def __init__(self, values):\n        self.value = sum(values)\n\n"
    "def mean(values):\n    return Sum(values).value / len(values)\n```",
    "conditional definition": f"```python\nimport sys\nif sys.version_info > (3, 0):\n{indented(CODE, '    ')}```",
    "tabs": "```python\ndef mean(values):\n\treturn sum(values) / len(values)\n```",
    "two spaces": "```python\ndef mean(values):\n  return sum(values) / len(values)\n```",
    "carriage returns": FENCED.replace("\n", "\r\n"),
    "old line ends": FENCED.replace("\n", "\r"),
    "byte order mark": f"\ufeff{FENCED}",
    "byte order mark before code": f"\ufeff{CODE}",
    "zero width space": f"```python\n\u200b{CODE}```",
    "nul": f"\x00\n{FENCED}\x00",
    "non-breaking spaces": f"```python\n{CODE.replace('    ', chr(0xA0) * 4)}```",
    "typographic quotes": "```python\ndef mean(values):\n    names = \u201ca\u201d\n    return sum(values) / len(values)\n```",
    "typographic minus": "```python\ndef mean(values):\n    return (sum(values) \u2212 0) / len(values)\n```",
    "lone surrogate": f"\ud800\n{FENCED}",
    "words of another language": f"Voici la fonction :\n\n{FENCED}\n\nElle fait la moyenne de « values ».",
    "html": "<pre><code class=\"language-python\">def mean(values):\n    return sum(values) / len(values) if 0 &lt; 1 else 0\n"
    "</code></pre>",
    "html on lines": f"<code>\n{CODE}</code>",
    "answer tag": f"<answer>\n{CODE}</answer>",
    "answer tag on the line": f"<answer>{CODE}</answer>",
    "python marks": f"[PYTHON]\n{CODE}[/PYTHON]",
    "begin and done": f"[BEGIN]\n{CODE}[DONE]",
    "latex": f"\\begin{{lstlisting}}\n{CODE}\\end{{lstlisting}}",
    "session": f"```python\n{prompted(CODE)}\n```",
    "session without a fence": prompted(CODE),
    "difference": "```diff\n" + indented(WRONG.split("\n")[0] + "\n", " ") + "-    return sum(values)\n"
    "+    return sum(values) / len(values)\n```",
    "prose inside the block": f"```python\nHere is the code:\n{CODE}\nThis is how it works\n```",
    "cut off behind the function": f"```python\n{CODE}\ndef test_mean():\n    assert mean([1, 2",
    "cut off in a string": f'```python\n{CODE}\nprint("the mean of [1, 2',
    "broken example behind": f"```python\n{CODE}\nmean([1, 2)\n```",
    "unclosed first block": f"```python\n{STUB}\n```python\n{CODE}```",
    "docstring cut in a first block": f'```python\ndef mean(values):\n    """The\n```\nAgain:\n{FENCED}',
    "several functions": f"```python\ndef median(values):\n    return sorted(values)[len(values) // 2]\n\n{CODE}\n"
    "def mode(values):\n    return max(values, key=values.count)\n```",
    "semicolons": "```python\nimport math; OFFSET = 0\ndef mean(values): total = math.fsum(values); return total / len(values) + OFFSET\n```",
    "header over lines": "```python\ndef mean(\n    values,\n):\n    return (\n        sum(values)\n        / len(values)\n    )\n```",
    "header over lines without a fence": "The code:\ndef mean(\n    values,\n):\n    return sum(values) / len(values)\nDone.",
    "string at the left margin": 'Code:\n\ndef mean(values):\n    text = """\nat the margin\n"""\n'
    "    return sum(values) / len(values)\n\nIt works.",
    "comments at the left margin": "```python\ndef mean(values):\n# the sum\n    total = sum(values)\n# the count\n"
    "    return total / len(values)\n```",
    "header at once with its body": f"```python\n{HEADER}    return sum(values) / len(values)\n```",
    "two functions that call each other": "```python\ndef total(v):\n    return v[0] + total(v[1:]) if v else 0\n"
    "def mean(values):\n    return total(values) / len(values)\n```",
    "implementations registered by attribute": "```python\nfrom functools import singledispatch\n@singledispatch\n"
    "def mean(values):\n    raise TypeError\n@mean.register\ndef _(values: list):\n    return sum(values) / len(values)\n```",
    "helpers registered by a decorator": "```python\nWAYS = {}\ndef way(name):\n    def keep(f):\n        WAYS[name] = f\n"
    "        return f\n    return keep\n\n@way('mean')\ndef _mean(values):\n    return sum(values) / len(values)\n\n"
    "def mean(values):\n    return WAYS['mean'](values)\n```",
    "table filled by a function": "```python\nones = {}\ndef fill():\n    for n in range(3):\n        ones[n] = 1\nfill()\n"
    "def mean(values):\n    return sum(values) * ones[0] / len(values)\n```",
    "global set by a function": "```python\none = None\ndef begin():\n    global one\n    one = 1\nbegin()\n"
    "def mean(values):\n    return sum(values) * one / len(values)\n```",
    "main function beside a memo": "```python\nmemo = {}\ndef mean(values):\n    memo[0] = sum(values) / len(values)\n"
    "    return memo[0]\ndef main():\n    memo.clear()\n    mean([int(input())])\nmain()\n```",
    "subclasses that are listed": "```python\nclass Way:\n    every = []\n    def __init_subclass__(cls):\n"
    "        Way.every.append(cls)\nclass Mean(Way):\n    def of(self, values): return sum(values) / len(values)\n"
    "def mean(values):\n    return Way.every[0]().of(values)\n```",
    "helper found by its name": "```python\ndef _mean(values):\n    return sum(values) / len(values)\ndef mean(values):\n"
    "    return globals()['_mean'](values)\n```",
    "helper in eval": "```python\ndef _mean(v):\n    return sum(v) / len(v)\ndef mean(v):\n    return eval('_mean(v)')\n```",
    "defined unless a script": f"```python\nif __name__ != 'script':\n{indented(CODE, '    ')}```",
    "defined under if True": f"```python\nif True:\n{indented(CODE, '    ')}```",
    "defined where an import fails": "```python\ntry:\n    from no_such_module import mean\nexcept ImportError:\n"
    f"{indented(CODE, '    ')}```",
    "overloads": "```python\nfrom typing import overload\n@overload\ndef mean(values: list) -> float: ...\n@overload\n"
    f"def mean(values: tuple) -> float: ...\n{CODE}```",
    "imports for type checkers": "```python\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nowhere import Row\n"
    "def mean(values: 'Row'):\n    return sum(values) / len(values)\n```",
    "name given within an expression": "```python\nif (ONE := 1) > 0:\n    pass\ndef mean(values):\n"
    "    return sum(values) * ONE / len(values)\n```",
    "JSON": '{"code": "def mean(values):\\n    return sum(values) / len(values)"}',
    "JSON in a fence": '```json\n{"plan": "divide (once)", "code": "def mean(values):\\n    return sum(values) / len(values)"}\n```',
    "JSON with a fence inside": '{"answer": {"text": "```python\\ndef mean(values):\\n    return sum(values) / len(values)\\n```"}}',
    "escaped line ends": "```python\\ndef mean(values):\\n    return sum(values) / len(values)\\n```",
    "inline code and words behind": "Use `def mean(values): return sum(values) / len(values)` for that.",
    "inline lambda": "It is `mean = lambda values: sum(values) / len(values)`, in short.",
    "numbered lines": "```python\n1  def mean(values):\n2      return sum(values) / len(values)\n```",
    "numbered lines with a colon": "```python\n 9: def mean(values):\n10:     return sum(values) / len(values)\n```",
    "numbered lines with a bar": "```\n 1 | def mean(values):\n 2 |     return sum(values) / len(values)\n```",
    "notebook session": "```python\nIn [1]: def mean(values):\n   ...:     return sum(values) / len(values)\n   ...: \n```",
    "comments at the left margin without a fence": "The code:\ndef mean(values):\n# the sum\n    total = sum(values)\n"
    "# the count\n    return total / len(values)\nDone.",
    "raw escapes": '```python\nPATTERN = "\\d"\ndef mean(values):\n    PATTERN\n    return sum(values) / len(values)\n```',
}  # fmt: skip
"""Each is to pass where nothing stands before it."""

CONTINUING: dict[str, str] = {
    "body": "    return sum(values) / len(values)\n",
    "body without indentation": "return sum(values) / len(values)",
    "body in a fence": "```python\nreturn sum(values) / len(values)\n```",
    "indented body in a fence": "```python\n    total = sum(values)\n    return total / len(values)\n```",
    "body whose first line lost its indentation": "total = sum(values)\n    return total / len(values)\n",
    "body behind words": "The body is:\n\n    total = sum(values)\n    return total / len(values)\n\nThat is all.",
    "body in a fence behind the header in words": "Put this below the header:\n```\ntotal = sum(values)\n\nreturn total / len(values)\n```",
    "body with a call behind it": "    total = sum(values)\n    return total / len(values)\n\nmean([int(input())])\n",
    "body without its first indentation, with a call behind it": "total = sum(values)\n    return total / len(values)\n\n# Test\nmean(1)",
    "annotations from the header's imports": "```python\ndef mean(values: List[float]) -> float:\n"
    "    return sum(values) / len(values)\n```",
}  # fmt: skip
"""Each is to pass behind the header."""

NOT_RIGHT: dict[str, str] = {
    "nothing": "",
    "words": "I cannot help with that.",
    "header": f"```python\n{STUB}```",
    "another name": "```python\ndef average(values):\n    return sum(values) / len(values)\n```",
    "wrong": f"```python\n{WRONG}```",
    "right before wrong": f"{FENCED}\nOn second thought:\n```python\n{WRONG}```",
    "a cut function": "```python\ndef mean(values):\n    return sum(values) / len(",
    "only in main": '```python\nif __name__ == "__main__":\n    def mean(values):\n        return sum(values) / len(values)\n```',
    "a method that needs an object": "```python\nclass Values:\n    def __init__(self, values):\n        self.values = values\n"
    "    def mean(self):\n        return sum(self.values) / len(self.values)\n```",
    "asynchronous": "```python\nasync def mean(values):\n    return sum(values) / len(values)\n```",
    "a comment": "```python\n# def mean(values): return sum(values) / len(values)\n```",
    "a string": "```python\ntext = '''\ndef mean(values):\n    return sum(values) / len(values)\n'''\n```",
}  # fmt: skip
