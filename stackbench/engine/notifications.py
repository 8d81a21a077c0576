"""Tells people who are not looking: a run that ended, or that makes no progress, to where `STACKBENCH_NOTIFY` says.

The addresses are those of apprise (mail, chats, webhooks: `json://host/path`). They hold passwords and tokens, so they
are taken from the environment and neither recorded nor shown.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from stackbench.errors import UsageError
from stackbench.extras import install_command

__all__ = ["VARIABLE", "Notifier"]

VARIABLE = "STACKBENCH_NOTIFY"
SENT_WITHIN_S = 20.0


class Notifier:
    """Sends in threads of its own; what cannot be delivered is said to `say` and costs the run nothing.

    Raises:
        UsageError: apprise is not installed, or an address is none.
    """

    def __init__(self, say: Callable[[str], None], addresses: str | None = None) -> None:
        listed = (os.environ.get(VARIABLE, "") if addresses is None else addresses).split()
        self._say = say
        self._threads: list[threading.Thread] = []
        self._apprise: Any = _recipients(listed) if listed else None

    def send(self, title: str, text: str) -> None:
        """Returns at once."""
        if self._apprise is not None:
            thread = threading.Thread(target=self._deliver, args=(title, text), name="notification", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Waits some seconds for what is on its way. Blocks."""
        for thread in self._threads:
            thread.join(SENT_WITHIN_S)

    def _deliver(self, title: str, text: str) -> None:
        try:
            delivered = self._apprise.notify(body=text, title=title)
        except Exception as error:
            delivered, why = False, type(error).__name__
        else:
            why = "an address did not take it"
        if not delivered:
            self._say(f'a notification ("{title}") was not delivered: {why}')


def _recipients(addresses: list[str]) -> Any:
    try:
        import apprise
    except ImportError as error:
        raise UsageError(f"{VARIABLE} is set, and needs apprise: {install_command('notify')}") from error
    recipients: Any = apprise.Apprise()
    for number, address in enumerate(addresses, 1):
        if not recipients.add(address):
            raise UsageError(
                f"address {number} in {VARIABLE} is none that apprise knows; a webhook is json://HOST/PATH "
                "(jsons:// with TLS), mail is mailto://USER:PASSWORD@HOST"
            )
    return recipients
