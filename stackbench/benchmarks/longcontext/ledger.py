"""Aggregation over everything: questions that every record of the text bears on (as Oolong, arXiv:2511.02817)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from stackbench.benchmarks.longcontext.haystack import Haystack, Placed, Question, Text, fill
from stackbench.benchmarks.longcontext.prose import remarks
from stackbench.benchmarks.longcontext.variants import Order, Variant
from stackbench.benchmarks.longcontext.vocabulary import NameMaker, vocabulary

__all__ = ["LEDGER"]

FAMILY = "aggregate"
INTRO = "The following ledger has one delivery on each line. Questions about all of its deliveries come afterwards.\n"
GUILDS = 6
RARE_AT_MOST = 12
"""Deliveries of a rare good; their number is what is to be counted."""
COMMON = 8
CLEAR = 0.3
"""The share of records that the most frequent value has: no two values are close."""
FREQUENT = {
    "day": "On which day of the week are there most deliveries",
    "guild": "Which guild has most deliveries",
    "goods": "Which goods were delivered most often",
    "place": "Which town received most deliveries",
}
LINE = "{day}: the {guild} Guild delivered {crates} crates of {goods} to {place}.\n"


@dataclass(frozen=True, slots=True)
class _Record:
    day: str
    guild: str
    crates: int
    goods: str
    place: str

    @property
    def line(self) -> str:
        return LINE.format(day=self.day, guild=self.guild, crates=self.crates, goods=self.goods, place=self.place)


class _Ledger:
    """Draws records; rare goods are strewn among them in numbers of their own."""

    def __init__(self, order: Order) -> None:
        rng, words = order.rng, vocabulary()
        names = NameMaker(rng)
        self.rng = rng
        self.guilds = _different(names.root, GUILDS)
        self.places = [names.place() for _ in range(GUILDS)]
        goods = rng.sample(words.goods, COMMON + 5)
        self.common, self.rare = goods[:COMMON], goods[COMMON:]
        self.days = list(words.weekdays)
        self.leading = [rng.choice(group) for group in (self.days, self.guilds, self.common, self.places)]
        self.by_line: dict[str, _Record] = {}

    def records(self) -> Iterator[str]:
        """Common records, without end; no line comes twice."""
        while True:
            yield self.line(self._drawn(self.common, 2))

    def line(self, goods: str) -> str:
        while True:
            record = _Record(
                self._drawn(self.days, 0), self._drawn(self.guilds, 1), self.rng.randint(2, 90), goods,
                self._drawn(self.places, 3),
            )  # fmt: skip
            line = record.line
            if line not in self.by_line or len(self.by_line) > 20_000:
                self.by_line[line] = record
                return line

    def _drawn(self, group: Sequence[str], number: int) -> str:
        """One of a group: its leading value more often than any other."""
        if self.rng.random() < CLEAR:
            return self.leading[number]
        return self.rng.choice(group)


def _different(draw: Callable[[], str], count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[draw()] = None
    return list(found)


def _records(order: Order) -> tuple[_Ledger, Text, list[_Record]]:
    """A ledger that fills the budget, and its records."""
    ledger, rng = _Ledger(order), order.rng
    fewest = 2 if order.budget < 2000 else 4
    wanted = [rng.randint(fewest, RARE_AT_MOST if order.budget >= 2000 else 5) for _ in ledger.rare]
    rare = [ledger.line(goods) for goods, count in zip(ledger.rare, wanted, strict=True) for _ in range(count)]
    taken: list[str] = []
    placed = [Placed(line, rng.random()) for line in rare]
    text = fill(order.tokens, order.budget, placed, ledger.records(), order.spacers, rng, take=taken.append)
    return ledger, text, [ledger.by_line[line] for line in (*taken, *rare)]


def _counting(order: Order) -> Haystack:
    ledger, text, records = _records(order)
    counts = Counter(record.goods for record in records)
    goods = order.rng.sample(ledger.rare, min(len(ledger.rare), len(order.depths)))
    return Haystack(
        text,
        tuple(
            Question(
                f"How many deliveries of {one} does the ledger have? Reply with the number only, on a line that "
                'begins with "Answer:".',
                (str(counts[one]),),
                kind="number",
                chance=1 / (RARE_AT_MOST - 1),
            )
            for one in goods
        ),
    )


def _frequent(order: Order) -> Haystack:
    """Asks only where one value is the most frequent alone: a text in which too few are is drawn again."""
    while True:
        _, text, records = _records(order)
        questions: list[Question] = []
        for attribute, ask in FREQUENT.items():
            counts = Counter(str(getattr(record, attribute)) for record in records)
            (top, most), (_, second) = counts.most_common(2)
            if most == second:
                continue
            questions.append(
                Question(
                    f"{ask} (deliveries, not crates)? Reply with the most frequent value only, on a line that begins "
                    'with "Answer:".',
                    (top,),
                    candidates=tuple(sorted(counts)),
                    chance=1 / len(counts),
                )
            )
        if len(questions) >= len(order.depths):
            order.rng.shuffle(questions)
            return Haystack(text, tuple(questions[: len(order.depths)]))


def _comparison(order: Order) -> Haystack:
    ledger, text, records = _records(order)
    totals: Counter[str] = Counter()
    for record in records:
        totals[record.guild] += record.crates
    pairs = [(a, b) for i, a in enumerate(ledger.guilds) for b in ledger.guilds[i + 1 :] if totals[a] != totals[b]]
    order.rng.shuffle(pairs)
    questions: list[Question] = []
    for one, other in pairs[: len(order.depths)]:
        more = one if totals[one] > totals[other] else other
        questions.append(
            Question(
                f"Which of the two delivered more crates in total, the {one} Guild or the {other} Guild? Reply with "
                'its name only, on a line that begins with "Answer:".',
                (more,),
                candidates=(one, other),
                chance=0.5,
            )
        )
    return Haystack(text, tuple(questions))


def _spacers(rng: random.Random) -> list[str]:
    return remarks(rng, "Note: ")


LEDGER = (
    Variant(FAMILY, "counting", INTRO, _counting, _spacers, has_depth=False),
    Variant(FAMILY, "frequent", INTRO, _frequent, _spacers, has_depth=False, shared=4),
    Variant(FAMILY, "comparison", INTRO, _comparison, _spacers, has_depth=False),
)
