"""Where a request may go, and how patient it is: rules that need no network."""

import socket
import threading
from typing import Any

import pytest
import requests
from tests.support.tables import quick_settings

from btg.errors import SourceAnswerError
from btg.sources.hosts import HostState
from btg.sources.transport import HEADERS, Limits, Transport, address_of

CBS = "https://service.invalid"


def transport(base_url: str) -> Transport:
    return Transport("99001ned", base_url, Limits(), HostState(), requests.Session())


@pytest.mark.parametrize(
    ("base_url", "url", "asked"),
    [
        (CBS, f"{CBS}/ODataFeed/x?$skip=1", f"{CBS}/ODataFeed/x?$skip=1"),
        (CBS, "https://service.invalid:443/x", "https://service.invalid:443/x"),
        (CBS, "HTTPS://SERVICE.INVALID/x", "https://SERVICE.INVALID/x"),
        (CBS, "http://service.invalid/x", f"{CBS}/x"),
        (CBS, "http://service.invalid:80/x", f"{CBS}/x"),
        ("http://service.invalid", f"{CBS}/x", f"{CBS}/x"),
        ("http://127.0.0.1:8123", "http://127.0.0.1:8123/x", "http://127.0.0.1:8123/x"),
    ],
)
def test_the_own_host_may_be_asked_and_tls_is_never_lost(
    base_url: str, url: str, asked: str
) -> None:
    assert transport(base_url).allowed(url, "TypedDataSet, page 1") == asked


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (CBS, "https://elsewhere.invalid/x"),
        (CBS, "https://service.invalid.elsewhere.invalid/x"),
        (CBS, "https://service.invalid:8443/x"),
        (CBS, "http://service.invalid:8080/x"),
        (CBS, "https://service.invalid@elsewhere.invalid/x"),
        (CBS, "https://user:word@service.invalid/x"),
        (CBS, "ftp://service.invalid/x"),
        (CBS, "file:///etc/passwd"),
        (CBS, "/relative"),
        (CBS, "https://[broken/x"),
        (CBS, "https://service.invalid:port/x"),
        ("http://127.0.0.1:8123", "http://127.0.0.1:8124/x"),
        ("http://127.0.0.1:8123", "https://127.0.0.1:8123/x"),
        ("http://127.0.0.1:8123", "http://localhost:8123/x"),
    ],
)
def test_any_other_place_is_refused(base_url: str, url: str) -> None:
    with pytest.raises(SourceAnswerError, match=r"^99001ned: TypedDataSet, page 1: ") as caught:
        transport(base_url).allowed(url, "TypedDataSet, page 1")
    assert "word" not in str(caught.value)


def test_limits_are_the_settings_unless_the_table_has_its_own() -> None:
    settings = quick_settings(timeout_s=3.0, retries=4, deadline_s=50.0, max_bytes=1_000)
    assert Limits.of(settings) == Limits(1.0, 3.0, 4, 50.0, 1_000)
    assert Limits.of(settings, retries=0, timeout_s=9.0) == Limits(1.0, 9.0, 0, 50.0, 1_000)


def test_default_ports_are_filled_in() -> None:
    assert address_of("https://a.invalid") == ("a.invalid", 443)
    assert address_of("http://a.invalid") == ("a.invalid", 80)
    with pytest.raises(ValueError, match="not an http address"):
        address_of("ftp://a.invalid")


def test_the_service_is_told_what_this_is() -> None:
    assert HEADERS["User-Agent"].startswith("btg/")
    assert HEADERS["User-Agent"].endswith(" (+regional statistics; polite client)")


def test_the_first_reason_why_a_host_is_down_is_kept() -> None:
    hosts, address = HostState(), ("127.0.0.1", 1)
    hosts.mark_down(address, "first")
    hosts.mark_down(address, "second")
    assert hosts.why_down(address) == "first"
    assert hosts.reach(address, 0.1) == "first"


def test_a_host_that_does_not_answer_in_time_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def never(*_: Any, **__: Any) -> Any:
        ended.wait(5)
        raise OSError("ended")

    monkeypatch.setattr(socket, "create_connection", never)
    hosts = HostState()
    assert hosts.reach(("127.0.0.1", 1), 0.05) == "no connection within 0.05 s"
    assert hosts.why_down(("127.0.0.1", 1)) == "no connection within 0.05 s"
    ended.set()
