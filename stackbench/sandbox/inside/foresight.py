"""Which calls tests will make, learnt before any sample is there to answer them."""

from __future__ import annotations

from marshal import dumps

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

MOST = 1 << 15  # calls, and questions to what stands for their answers


class NotForeseeable(BaseException):
    pass


class Foresight:
    """Takes the place of a channel to learn which calls tests will make, before any sample is there to answer them.

    Only calls that do not depend on an answer are foreseen.
    """

    def __init__(self):
        self.calls = []
        self.anything = Anything()

    def ask(self, operation: str, target: Any, args: Any, keywords: Any):
        try:
            self.calls.append(dumps((False, operation, target, args, keywords), 2))
        except ValueError:
            raise NotForeseeable from None
        if len(self.calls) >= MOST:
            raise NotForeseeable
        return self.anything


class Anything:
    """The answer that lets tests go on; not for ever, as one that waits for a certain answer would."""

    def __init__(self):
        object.__setattr__(self, "asked", 0)

    def count(self):
        object.__setattr__(self, "asked", self.asked + 1)
        if self.asked > MOST:
            raise NotForeseeable

    def __getattr__(self, name: str):
        raise NotForeseeable

    def yes(self, *others: Any):
        self.count()
        return True

    def zero(self, *others: Any):
        self.count()
        return 0.0

    def itself(self, *others: Any):
        self.count()
        return self

    def nothing(self):
        return iter(())

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __contains__ = yes
    __float__ = zero
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __mod__ = itself
    __floordiv__ = __pow__ = __neg__ = __abs__ = __round__ = __getitem__ = itself
    __iter__ = nothing

    def __hash__(self):
        return 0

    def __len__(self):
        return 0

    def __setattr__(self, name: str, value: Any):
        raise NotForeseeable
