"""Questions over many documents about an invented world, of one to four hops, with the documents that answer them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from stackbench.benchmarks.longcontext.haystack import Haystack, Placed, Question, fill
from stackbench.benchmarks.longcontext.prose import remarks
from stackbench.benchmarks.longcontext.variants import Order, Variant
from stackbench.benchmarks.longcontext.vocabulary import NameMaker, vocabulary

__all__ = ["DOCUMENTS"]

FAMILY = "multidoc"
INTRO = (
    "The following documents are of several kinds and of several years. Where two of them contradict each other, the "
    "one that corrects the other is right. A question about them comes afterwards.\n"
)
ASK = (
    "{question} Reply with the answer and the identifiers of all documents that it rests on, on one line of the form:\n"
    "Answer: ANSWER; documents: IDENTIFIER, IDENTIFIER"
)
QUESTIONS = (
    "In which year was the {organisation} founded?",
    "In which town was the founder of the {organisation} born?",
    "Who is the mayor of the town in which the founder of the {organisation} was born?",
    "Which trade did the mayor of the town in which the founder of the {organisation} was born learn?",
)
YEAR = r"(?<!\d)1[789]\d\d(?!\d)"
FOUNDING = (
    "News. The {organisation} kept its anniversary {time}. Guests recalled how {founder} had brought it into being "
    "with borrowed money. The house on the square has been its seat ever since.",
    "Letter. Dear friend, you ask who began the {organisation}. That was {founder}, and nobody else: I stood there "
    "when the first stone was laid.",
    "Encyclopedia. {organisation}: body of craftsmen, established by {founder}. It is known for its {adjective} rooms.",
)
BIRTH = (
    "Obituary. {founder} is gone. Those who met her {time} remember a {adjective} voice. She came into the world in "
    "{town}, the youngest of five, and left it at sixteen.",
    "Diary. Spoke with {founder} {time}. He was born in {town}, he told me, in a room above the stables.",
    "Register of persons. {founder}. Place of birth: {town}. Other entries of this page are not legible.",
)
MAYOR = (
    "Minutes. The council of {town} met {time}. {mayor} was sworn in as its mayor; the vote was not contested.",
    "Gazette. {town} has a new head: {mayor} took the mayor's chain {time}. She thanked the baker for the cake.",
    "Travel guide. {town} is {adjective} and worth an hour. The mayor, {mayor}, opens the tower to visitors.",
)
TRADE = (
    "Interview. Before office, {mayor} learned the trade of a {trade}. It taught him patience, he says.",
    "Portrait. Few know that {mayor} is a trained {trade}. The tools still hang in her hall.",
)
WRONG_YEAR = (
    "Almanac. Foundings of the century: {organisation}, {wrong}.",
    "Poster. {organisation}, since {wrong}! Come {time}, entry is free.",
)
RIGHT_YEAR = (
    "Correction. The year {wrong} that is often given for the founding of the {organisation} rests on a misreading. "
    "Its charter is of {year}.",
    "Archive note. The {organisation} was not founded in {wrong}, as posters say, but in {year}; the seal proves it.",
)


@dataclass(frozen=True, slots=True)
class _World:
    """An organisation, its founder, the town of birth and its mayor, with a document for each link."""

    organisation: str
    facts: tuple[str, str, str, str]
    """Year, town, mayor, trade."""
    documents: tuple[tuple[str, str], ...]
    """Identifier and text: founding, birth, mayor, trade, the wrong year, the right one."""

    @property
    def support(self) -> tuple[tuple[str, ...], ...]:
        """Identifiers, by hops."""
        found, born, mayor, trade, _, right = (identifier for identifier, _ in self.documents)
        return (right,), (found, born), (found, born, mayor), (found, born, mayor, trade)


class _Worlds:
    """Draws worlds without a name in common."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._names = NameMaker(rng)
        self._number = rng.randint(100, 999)
        self.towns: list[str] = []
        self.mayors: list[str] = []

    def make(self) -> _World:
        rng, names, words = self._rng, self._names, vocabulary()
        organisation, founder, town, mayor = names.organisation(), names.person(), names.place(), names.person()
        self.towns.append(town)
        self.mayors.append(mayor)
        year, trade = rng.randint(1700, 1899), rng.choice(words.trades)
        wrong = year + rng.choice((-1, 1)) * rng.randint(2, 40)
        documents: list[tuple[str, str]] = []
        for texts in (FOUNDING, BIRTH, MAYOR, TRADE, WRONG_YEAR, RIGHT_YEAR):
            text = rng.choice(texts).format(
                organisation=organisation, founder=founder, town=town, mayor=mayor, trade=trade, year=year, wrong=wrong,
                adjective=rng.choice(words.adjectives), time=rng.choice(words.times),
            )  # fmt: skip
            self._number += rng.randint(1, 9)
            identifier = f"{rng.choice('ABCDEFGHJKLMNPQRSTUVWXYZ')}{self._number}"
            documents.append((identifier, f"Document {identifier}. {text}\n"))
        return _World(organisation, (str(year), town, mayor, trade), tuple(documents))

    def documents(self) -> Iterator[str]:
        """Documents of other worlds, without end, those of several worlds mixed."""
        while True:
            mixed = [text for _ in range(4) for _, text in self.make().documents]
            self._rng.shuffle(mixed)
            yield from mixed


def _build(order: Order, hops: int) -> Haystack:
    rng = order.rng
    worlds = _Worlds(rng)
    asked = [worlds.make() for _ in order.depths]
    placed = [Placed(text, rng.random()) for world in asked for _, text in world.documents]
    text = fill(order.tokens, order.budget, placed, worlds.documents(), order.spacers, rng)
    trades = vocabulary().trades
    candidates = ((), tuple(worlds.towns), tuple(worlds.mayors), trades)[hops - 1]
    return Haystack(
        text,
        tuple(
            Question(
                ASK.format(question=QUESTIONS[hops - 1].format(organisation=world.organisation)),
                (world.facts[hops - 1],),
                candidates=candidates,
                shape=YEAR if hops == 1 else "",
                support=world.support[hops - 1],
                chance=(1 / 200, 0.0, 0.0, 1 / len(trades))[hops - 1],
            )
            for world in asked
        ),
    )


def _spacers(rng: random.Random) -> list[str]:
    return remarks(rng, "Margin: ")


DOCUMENTS = tuple(
    Variant(FAMILY, f"{hops}hop", INTRO, partial(_build, hops=hops), _spacers, has_depth=False, answer_tokens=96)
    for hops in (1, 2, 3, 4)
)
