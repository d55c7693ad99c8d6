"""Addresses on 127.0.0.1 that do not answer, each in its own way."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


def refusing_url() -> str:
    """Return an address at which nobody listens: a connection is refused at once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def silent_url() -> Iterator[str]:
    """Yield an address that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def black_hole_url() -> Iterator[str]:
    """Yield an address at which a connection neither succeeds nor fails.

    The queue of a listener that never accepts is full, so the system drops every further
    request for a connection, as a firewall does.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"
