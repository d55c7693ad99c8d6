"""The CBS source without a network: how soon it gives up, and what it does not try again."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from tests.support.network import black_hole_url, refusing_url, silent_url
from tests.support.odata_server import Fault, ODataServer
from tests.support.store import small_table
from tests.support.tables import catalogue_table, quick_settings

from btg.errors import SourceAnswerError, SourceUnreachableError
from btg.settings import Settings
from btg.sources.cbs import CbsSource
from btg.sources.hosts import HostState

TABLE = "99001ned"
NAMELESS = "http://nonexistent.invalid"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    started_at = time.monotonic()
    yield
    took = time.monotonic() - started_at
    assert took < seconds, f"took {took:.2f} s"


def must_be_unreachable(source: CbsSource, says: str, table: str = TABLE) -> None:
    with pytest.raises(SourceUnreachableError, match=says) as caught:
        source.fetch(catalogue_table(table))
    assert caught.value.table == table


def test_a_refused_connection_fails_at_once() -> None:
    with within(1.5), CbsSource(refusing_url(), Settings(**quick())) as source:
        must_be_unreachable(source, f"{TABLE}: 127.0.0.1:.* the connection was refused")


def quick() -> dict[str, Any]:
    """Paths only: all patience as it is by default."""
    settings = quick_settings()
    return {"home": settings.home, "repository": settings.repository}


def test_a_name_that_does_not_exist_fails_at_once() -> None:
    with within(2.6), CbsSource(NAMELESS, Settings(**quick())) as source:
        must_be_unreachable(source, "nonexistent.invalid cannot be reached")


def test_a_resolver_that_does_not_answer_costs_one_connect_time_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(*_: object, **__: object) -> Any:
        time.sleep(1.0)
        raise socket.gaierror("too late")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    settings = quick_settings(connect_timeout_s=0.2)
    with within(0.95), CbsSource(NAMELESS, settings) as source:
        must_be_unreachable(source, "no connection within 0.2 s")
        must_be_unreachable(source, "given up earlier in this run")


def test_black_holes_cost_one_connect_time_out_for_all_hosts_together() -> None:
    hosts, settings = HostState(), quick_settings(connect_timeout_s=0.8)
    with black_hole_url() as first, black_hole_url() as second:
        cbs = CbsSource(first, settings, hosts=hosts)
        dataderden = CbsSource(second, settings, hosts=hosts)
        with within(1.5):
            must_be_unreachable(cbs, "cannot be reached: no connection within 0.8 s")
            must_be_unreachable(dataderden, "cannot be reached: no connection within 0.8 s")
            for number in range(20):
                must_be_unreachable(cbs, "given up earlier", f"9{number:04}NED")


def test_a_run_without_a_network_loses_less_than_three_seconds() -> None:
    hosts, settings = HostState(), Settings(**quick())
    with black_hole_url() as first, within(3.0):
        sources = [CbsSource(url, settings, hosts=hosts) for url in (first, NAMELESS)]
        for number in range(10):
            for source in sources:
                must_be_unreachable(source, "cannot be reached|given up", f"9{number:04}NED")


def test_a_failed_host_is_not_asked_again_by_any_source_of_the_run() -> None:
    hosts = HostState()
    with ODataServer(small_table(TABLE)) as server:
        first = CbsSource(server.url, quick_settings(), hosts=hosts, sleep=lambda _: None)
        second = CbsSource(server.url, quick_settings(), hosts=hosts)
        with server.fault(Fault("status", status=503)):
            must_be_unreachable(first, "HTTP 503 Service Unavailable, after 3 attempts")
        asked = len(server.requests)
        must_be_unreachable(second, "given up earlier in this run: HTTP 503", "99002NED")
        assert len(server.requests) == asked == 3
        third = CbsSource(server.url, quick_settings(), hosts=HostState())
        assert third.probe(catalogue_table()).table_id == TABLE


def test_a_failure_halfway_through_a_table_is_the_tables_alone() -> None:
    store = small_table(TABLE) | small_table("99002NED")
    with ODataServer(store, page_size=20) as server:
        source = CbsSource(server.url, quick_settings(), sleep=lambda _: None)
        with server.fault(Fault("reset", table=TABLE, entity="TypedDataSet", page=3)):
            must_be_unreachable(source, "TypedDataSet, page 3")
            assert source.fetch(catalogue_table("99002NED")).entities["TypedDataSet"].height == 85


def test_a_question_that_the_service_cannot_take_is_the_tables_alone() -> None:
    with ODataServer(small_table(TABLE) | small_table("99002NED")) as server:
        source = CbsSource(server.url, quick_settings(), sleep=lambda _: None)
        with server.fault(Fault("status", table=TABLE, status=500)):
            must_be_unreachable(source, "HTTP 500")
            assert source.probe(catalogue_table("99002NED")).table_id == "99002NED"


def test_a_host_that_says_nothing_is_given_up_after_its_read_time_outs() -> None:
    settings = quick_settings(timeout_s=0.1, retries=2)
    with silent_url() as url, within(2.0):
        source = CbsSource(url, settings, sleep=lambda _: None)
        must_be_unreachable(source, "no answer within 0.1 s, after 3 attempts")
        must_be_unreachable(source, "given up earlier in this run")


def test_a_trickle_ends_at_the_deadline_of_the_table() -> None:
    settings = quick_settings(deadline_s=0.6)
    with ODataServer(small_table(TABLE)) as server, CbsSource(server.url, settings) as source:
        with server.fault(Fault("drip", entity="TypedDataSet", seconds=0.3)), within(3.0):
            must_be_unreachable(source, "was not complete within 0.6 s")
        assert source.probe(catalogue_table()).table_id == TABLE, "the host itself is not down"


def test_the_deadline_is_for_the_whole_table() -> None:
    now = [0.0]
    with ODataServer(small_table(TABLE), page_size=20) as server:
        server.hooks.append(lambda _: now.__setitem__(0, now[0] + 2.0))
        source = CbsSource(server.url, quick_settings(deadline_s=15.0), clock=lambda: now[0])
        must_be_unreachable(source, "was not complete within 15 s")


def test_waiting_counts_for_the_deadline() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with ODataServer(small_table(TABLE)) as server, server.fault(Fault("status", status=503)):
        settings = quick_settings(retries=50, deadline_s=60.0)
        source = CbsSource(server.url, settings, clock=lambda: now[0], sleep=sleep)
        must_be_unreachable(source, "after the deadline of this table")
    assert 30 < now[0] < 60


def test_plain_http_where_tls_is_expected_is_unreachable() -> None:
    with ODataServer(small_table(TABLE)) as server, within(2.0):
        source = CbsSource(server.url.replace("http:", "https:"), quick_settings())
        must_be_unreachable(source, "no trusted connection")


def test_tls_is_verified_and_time_outs_are_set_whatever_the_options_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from cbsodata import cbsodata3

    given: list[dict[str, Any]] = []
    send = requests.Session.send

    def listening(self: requests.Session, request: Any, **options: Any) -> Any:
        given.append(options)
        return send(self, request, **options)

    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.setattr(requests.Session, "send", listening)
    monkeypatch.setattr(cbsodata3.options, "requests", {"verify": False, "timeout": None})
    with ODataServer(small_table(TABLE)) as server:
        CbsSource(server.url, quick_settings()).fetch(catalogue_table())
    assert {options["verify"] for options in given} == {True}
    assert {options["timeout"][0] for options in given} == {1.0}
    assert all(0 < options["timeout"][1] <= 1.0 for options in given)
    assert cbsodata3.options.requests == {"verify": False, "timeout": None}


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", refusing_url())
    with within(2.0):
        source = CbsSource(NAMELESS, quick_settings(), sleep=lambda _: None)
        must_be_unreachable(source, "the proxy of the environment fails")


def test_sources_of_one_run_can_be_read_side_by_side() -> None:
    tables = [f"9900{number}ned" for number in range(6)]
    store = {k: v for table in tables for k, v in small_table(table).items()}
    with ODataServer(store, page_size=30) as server:
        source = CbsSource(server.url, quick_settings())
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda t: source.fetch(catalogue_table(t)), tables))
    assert [delivery.table_id for delivery in found] == tables
    assert {delivery.entities["TypedDataSet"].height for delivery in found} == {85}


def test_a_wrong_answer_does_not_give_up_the_host() -> None:
    with ODataServer(small_table(TABLE)) as server:
        source = CbsSource(server.url, quick_settings(), sleep=lambda _: None)
        with (
            server.fault(Fault("html", entity="TableInfos")),
            pytest.raises(SourceAnswerError, match="expected JSON"),
        ):
            source.probe(catalogue_table())
        assert source.probe(catalogue_table()).table_id == TABLE
