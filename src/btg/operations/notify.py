"""Tells a webhook when a run needs a human; whatever goes wrong with that, the run goes on.

The message is one JSON object; its ``text`` is what chat services show. The address comes from
``BTG_WEBHOOK_URL`` and is never logged, because such addresses often hold a secret.
"""

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from btg.errors import BtgError, is_interruption
from btg.settings import Settings
from btg.workspace import RunReport

log = logging.getLogger(__name__)

TIMEOUTS_S = (3.0, 5.0)
"""To connect, and to wait for the answer."""

Event = Literal["blocked", "failed", "quarantined", "stale", "attention"]


@dataclass(frozen=True)
class Notice:
    """One thing that a human should look at."""

    event: Event
    message: str
    run_id: str | None = None
    details: list[str] = field(default_factory=list)


def notices(report: RunReport) -> list[Notice]:
    """Return what to tell of a finished run; an unreachable source alone is no reason to tell."""
    if report.outcome == "blocked":
        failed = [f"{f.check_id}: {f.message} [{f.example}]" for f in report.findings if f.blocks]
        return [Notice("blocked", report.message, report.run_id, failed[:10])]
    found = []
    states: dict[Event, str] = {"quarantined": "quarantined", "stale": "too_old"}
    for event, state in states.items():
        tables = sorted(t for t, s in report.table_states.items() if s == state)
        if tables:
            message = f"{', '.join(tables)}: {state.replace('_', ' ')}; the last good figures serve"
            found.append(Notice(event, message, report.run_id, report.warnings))
    return found


def after(settings: Settings, report: RunReport) -> None:
    """Tell what a finished run found."""
    for notice in notices(report):
        send(settings, notice)


@contextmanager
def on_crash(settings: Settings) -> Iterator[None]:
    """Tell when the block ends in an error, and let the error pass.

    An interruption is told unless somebody at a terminal did it.
    """
    try:
        yield
    except BaseException as error:
        if not (is_interruption(error) and _is_watched()):
            why = f"{type(error).__name__} {error}" if isinstance(error, BtgError) else repr(error)
            send(settings, Notice("failed", f"a run did not end: {why[:300]}"))
        raise


def _is_watched() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def send(settings: Settings, notice: Notice) -> bool:
    """Return whether the webhook took the notice; False at once if none is set."""
    if settings.webhook_url is None:
        return False
    import requests

    body = {
        "text": f"btg {notice.event} on {socket.gethostname()}: {notice.message}",
        "machine": socket.gethostname(),
        **asdict(notice),
    }
    if not is_address(settings.webhook_url):
        log.warning("BTG_WEBHOOK_URL is not an http or https address; nothing was sent")
        return False
    try:
        answer = requests.post(
            settings.webhook_url, json=body, timeout=TIMEOUTS_S, allow_redirects=False
        )
    except Exception as error:  # the text of these errors holds the address
        log.warning("the webhook was not reached (%s)", type(error).__name__)
        return False
    if not answer.ok:
        log.warning("the webhook refused the notice (HTTP %s)", answer.status_code)
    return bool(answer.ok)


def is_address(url: str) -> bool:
    """Return whether a text is an http or https address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
