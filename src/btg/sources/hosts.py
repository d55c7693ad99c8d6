"""Which hosts answer in this run: found out once, in bounded time, and shared by all sources.

Name resolution has no time limit of its own and a name can have several addresses, so the first
contact is made aside with one limit for both. All hosts of the run are tried at the same moment:
a machine without a network loses one connect time-out, not one per host or per table.
"""

import socket
import threading
import time

Address = tuple[str, int]
"""Host name and port."""


class _FirstContact:
    """A connection attempt under way; ``reason`` stays None when it worked."""

    def __init__(self, address: Address, limit_s: float) -> None:
        self._ends_at = time.monotonic() + limit_s
        self._limit_s = limit_s
        self._done = threading.Event()
        self._reason: str | None = None
        name = f"first contact {address[0]}"
        threading.Thread(target=self._attempt, args=[address], name=name, daemon=True).start()

    def why_failed(self) -> str | None:
        """Return None once the connection has worked, or why it has not within the limit."""
        if not self._done.wait(max(self._ends_at - time.monotonic(), 0)):
            return f"no connection within {self._limit_s:g} s"
        return self._reason

    def _attempt(self, address: Address) -> None:
        try:
            socket.create_connection(address, timeout=self._limit_s).close()
        except TimeoutError:
            self._reason = f"no connection within {self._limit_s:g} s"
        except (OSError, UnicodeError) as error:
            self._reason = describe(error)
        finally:
            self._done.set()


class HostState:
    """What one run has learned of its hosts; a host that failed for good is not asked again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[Address] = set()
        self._under_way: dict[Address, _FirstContact] = {}
        self._reached: set[Address] = set()
        self._down: dict[Address, str] = {}

    def register(self, address: Address) -> None:
        """Note that the run will need this host, so that it is tried together with the others."""
        with self._lock:
            if address not in self._under_way and address not in self._reached:
                self._waiting.add(address)

    def why_down(self, address: Address) -> str | None:
        """Return why the host is given up in this run, or None when it may be asked."""
        with self._lock:
            return self._down.get(address)

    def mark_down(self, address: Address, reason: str) -> None:
        """Give the host up for the rest of this run; the first reason is kept."""
        with self._lock:
            self._down.setdefault(address, reason)

    def reach(self, address: Address, limit_s: float) -> str | None:
        """Return None once a connection to the host has worked, or why it is down."""
        self.register(address)
        with self._lock:
            if address in self._down:
                return self._down[address]
            if address in self._reached:
                return None
            for waiting in sorted(self._waiting):
                self._under_way[waiting] = _FirstContact(waiting, limit_s)
            self._waiting.clear()
            contact = self._under_way[address]
        reason = contact.why_failed()
        with self._lock:
            if reason is None:
                self._reached.add(address)
            else:
                self._down.setdefault(address, reason)
        return reason


def describe(error: BaseException) -> str:
    """Return the network's error in plain words."""
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved (no network?)"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    return f"no connection ({error})"
