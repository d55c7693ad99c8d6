"""The CBS source against answers that are wrong: each ends in a typed error that says what, where.

A wrong answer must never become a frame. The table's id is in every message.
"""

import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest
from tests.support import mutations as m
from tests.support.odata_server import Fault, ODataServer, Request
from tests.support.store import DimensionSpec, Store, TopicSpec, small_table
from tests.support.tables import catalogue_table, quick_settings

from btg.errors import SourceAnswerError, SourceUnreachableError
from btg.sources.cbs import CbsSource
from btg.sources.protocol import Delivery
from btg.sources.transport import Limits

TABLE = "99001ned"
PAGES = 20
"""Rows per page: the 85 rows of the table make five pages."""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[ODataServer]:
    with ODataServer(small_table(TABLE), page_size=PAGES) as running:
        yield running


def fetch(
    server: ODataServer,
    sleep: Callable[[float], None] = lambda _: None,
    entry: dict[str, Any] | None = None,
    **settings: Any,
) -> Delivery:
    with CbsSource(server.url, quick_settings(**settings), sleep=sleep) as source:
        return source.fetch(catalogue_table(TABLE, **(entry or {})))


def data(kind: Any, page: int | None = None, **fields: Any) -> Fault:
    return Fault(kind, table=TABLE, entity="TypedDataSet", page=page, **fields)


# ---- faults that pass: another attempt cures them


PASSING = [
    data("status", 3, status=503, times=2),
    data("status", 3, status=500, times=2),
    data("status", 3, status=429, times=2),
    data("reset", 3, times=2),
    data("short", 3, times=2),
    data("truncated", 3, times=2),
    data("damaged_gzip", 3, times=2),
    data("delay", 3, seconds=5.0, times=1),
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind}-{fault.status}")
def test_a_fault_that_passes_is_survived(server: ODataServer, fault: Fault) -> None:
    fault = Fault(**{**vars(fault), "hits": 0})
    with server.fault(fault):
        delivery = fetch(server, timeout_s=0.15)
    assert fault.hits == fault.times
    assert delivery.entities["TypedDataSet"].height == 85
    assert delivery.notes == ()


def test_delays_grow_between_attempts(server: ODataServer) -> None:
    slept: list[float] = []
    with server.fault(data("status", status=503, times=3)):
        fetch(server, slept.append, retries=3)
    assert slept == [0.5, 1.0, 2.0]


def test_retry_after_in_seconds_is_honoured(server: ODataServer) -> None:
    slept: list[float] = []
    with server.fault(data("status", 2, status=429, headers={"Retry-After": "7"}, times=1)):
        fetch(server, slept.append)
    assert slept == [7.0]


def test_retry_after_as_a_date_is_honoured(server: ODataServer) -> None:
    slept: list[float] = []
    headers = {"Retry-After": formatdate(usegmt=True, timeval=time.time() + 9)}
    with server.fault(data("status", 2, status=503, headers=headers, times=1)):
        fetch(server, slept.append)
    assert len(slept) == 1
    assert 7 < slept[0] <= 9


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(server: ODataServer) -> None:
    slept: list[float] = []
    fault = data("status", 2, status=429, headers={"Retry-After": "3600"})
    with server.fault(fault), pytest.raises(SourceUnreachableError, match="3600 s, after the dead"):
        fetch(server, slept.append)
    assert slept == []


@pytest.mark.parametrize("header", ["soon", "-1", ""])
def test_an_unreadable_retry_after_is_passed_over(server: ODataServer, header: str) -> None:
    slept: list[float] = []
    headers = {"Retry-After": header}
    with server.fault(data("status", 2, status=429, headers=headers, times=1)):
        fetch(server, slept.append)
    assert slept == [0.5]


# ---- faults that stay: unreachable


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (data("status", 3, status=500), "HTTP 500 Internal Server Error, after 3 attempts"),
        (data("status", 3, status=503), "HTTP 503 Service Unavailable, after 3 attempts"),
        (data("status", 3, status=429), "HTTP 429 Too Many Requests, after 3 attempts"),
        (data("reset", 3), "the body broke off after"),
        (data("short", 3), "the body broke off after"),
        (data("delay", 3, seconds=5.0), "no answer within 0.1 s, after 3 attempts"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_a_page_that_never_arrives_is_unreachable(
    server: ODataServer, fault: Fault, says: str
) -> None:
    fault = Fault(**{**vars(fault), "hits": 0})
    with server.fault(fault), pytest.raises(SourceUnreachableError) as caught:
        fetch(server, timeout_s=0.1)
    assert str(caught.value).startswith(f"{TABLE}: TypedDataSet, page 3 of 127.0.0.1:")
    assert says in str(caught.value)
    assert fault.hits == 3


def test_the_number_of_retries_is_the_setting(server: ODataServer) -> None:
    fault = Fault("status", status=503)
    with server.fault(fault), pytest.raises(SourceUnreachableError, match=r"after 1 attempt$"):
        fetch(server, retries=0)
    assert fault.hits == 1


def test_a_table_may_have_its_own_patience(server: ODataServer) -> None:
    fault = Fault("status", status=503)
    with server.fault(fault), pytest.raises(SourceUnreachableError, match="after 5 attempts"):
        fetch(server, entry={"retries": 4})


# ---- faults that stay: a wrong answer


@pytest.mark.parametrize(
    ("fault", "where", "says"),
    [
        (data("truncated", 3), "TypedDataSet, page 3", "the JSON is damaged after"),
        (data("damaged_gzip", 3), "TypedDataSet, page 3", "the compressed body is damaged"),
        (data("html", 3), "TypedDataSet, page 3", "found text/html; charset=utf-8 that starts"),
        (data("html", 3), "TypedDataSet, page 3", "'<!DOCTYPE html> <html><head><title>Onde"),
        (data("no_value", 3), "TypedDataSet, page 3", "expected a list of rows under 'value'"),
        (data("not_rows", 3), "TypedDataSet, page 3", "expected every row to be an object"),
        (data("empty", 1), "TypedDataSet, page 1", "the next page starts after row 20, but 0"),
        (data("empty", 5), "TypedDataSet", "expected 85 rows by the service's own count, receiv"),
        (data("page_missing", 3), "TypedDataSet, page 2", "the next page starts after row 60"),
        (data("page_missing", 5), "TypedDataSet", "expected 85 rows by the service's own count"),
        (data("page_short", 3), "TypedDataSet, page 3", "starts after row 60, but 59 rows"),
        (data("page_repeated", 3), "TypedDataSet", "expected every cell once, found 20 twice"),
        (data("page_repeated", 5), "TypedDataSet", "expected 85 rows by the service's own count"),
        (data("next_to_itself", 3), "TypedDataSet, page 3", "leads to a page already read"),
        (data("next_to", 2, location="/nowhere"), "TypedDataSet, page 2", "is not an address"),
        (data("status", 3, status=404), "TypedDataSet, page 3", "expected HTTP 200, found 404"),
        (data("status", 3, status=403), "TypedDataSet, page 3", "expected HTTP 200, found 403"),
        (data("status", 3, status=204), "TypedDataSet, page 3", "expected HTTP 200, found 204"),
        (data("redirect", 3), "TypedDataSet, page 3", "redirected more than 3 times (a loop?)"),
        (Fault("empty", entity="TableInfos"), "TableInfos", "expected one row, found none"),
        (Fault("empty", entity="DataProperties"), "DataProperties", "expected rows, found none"),
        (Fault("empty", entity="RegioS"), "RegioS", "expected rows, found none"),
        (Fault("html", entity=""), "service document, page 1", "expected JSON"),
        (Fault("no_value", entity="Perioden"), "Perioden, page 1", "expected a list of rows"),
        (Fault("truncated", entity="TableInfos"), "TableInfos, page 1", "the JSON is damaged"),
    ],
)
def test_a_wrong_answer_is_refused(
    server: ODataServer, fault: Fault, where: str, says: str
) -> None:
    fault = Fault(**{**vars(fault), "hits": 0})
    with server.fault(fault), pytest.raises(SourceAnswerError) as caught:
        fetch(server)
    message = str(caught.value)
    assert message.startswith(f"{TABLE}: {where}"), message
    assert says in message
    assert fault.hits > 0
    assert "\n" not in message


def test_no_rows_at_all_is_an_error(server: ODataServer) -> None:
    server.page_size = 1000
    with server.fault(data("empty")), pytest.raises(SourceAnswerError, match="TypedDataSet: expec"):
        fetch(server)


def test_a_final_answer_is_not_asked_for_again(server: ODataServer) -> None:
    fault = Fault("status", entity="TableInfos", status=404)
    with server.fault(fault), pytest.raises(SourceAnswerError):
        fetch(server)
    assert len(server.requests) == 1


def test_a_table_that_does_not_exist_says_so(server: ODataServer) -> None:
    with (
        CbsSource(server.url, quick_settings()) as source,
        pytest.raises(SourceAnswerError, match=r"99009NED: TableInfos, page 1: .* found 404"),
    ):
        source.probe(catalogue_table("99009NED"))


def test_the_answer_of_another_table_is_refused(server: ODataServer) -> None:
    server.store = {**server.store, **small_table("99002NED")}
    says = "99001ned: TableInfos: expected table 99001ned, found 99002NED"
    with server.fault(Fault("other_table")), pytest.raises(SourceAnswerError, match=says):
        fetch(server)


def test_table_infos_without_modified_is_refused(server: ODataServer) -> None:
    server.store = m.set_info(server.store, TABLE, Modified=None)
    with pytest.raises(SourceAnswerError, match="99001ned: TableInfos: Modified is missing"):
        fetch(server)


# ---- figures that are none


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("1e999", "Infinity"),
        ('"12,5"', '"12,5"'),
        ("true", "true"),
        ("[1]", r"\[1\]"),
        ("99999999999999999999", "9{20}"),
    ],
)
def test_a_figure_that_is_none_is_refused_with_its_cell(
    server: ODataServer, value: str, found: str
) -> None:
    says = f"99001ned: column AlleHuishoudens_3, cell GM0153, 2019JJ00: expected .*, found {found}$"
    server.store = small_table(TABLE, regions={"GM0153": "Enschede"})
    entry = {"region_levels": ["gemeente"]}
    with server.fault(data("number", 1, value=value)), pytest.raises(SourceAnswerError, match=says):
        fetch(server, entry=entry)


def test_a_row_without_a_column_is_refused(server: ODataServer) -> None:
    del server.store[TABLE]["TypedDataSet"][7]["AlleHuishoudens_3"]
    says = "99001ned: the row of PV23, 2021JJ00 lacks column AlleHuishoudens_3"
    with pytest.raises(SourceAnswerError, match=says):
        fetch(server)


def test_a_code_that_is_null_is_refused(server: ODataServer) -> None:
    server.store[TABLE]["TypedDataSet"][7]["Perioden"] = None
    with pytest.raises(SourceAnswerError, match="column Perioden, cell PV23, None: expected a tex"):
        fetch(server)


def test_a_cell_sent_twice_is_refused(server: ODataServer) -> None:
    server.store = m.duplicate_cell(server.store, TABLE, "GM0153", "2021JJ00")
    says = r"every cell once, found 1 twice or more \(such as GM0153, 2021JJ00\)"
    with pytest.raises(SourceAnswerError, match=says):
        fetch(server)


# ---- filters that are not followed


def crimes() -> Store:
    return small_table(
        TABLE,
        topics=[TopicSpec(("Misdrijven",), datatype="Long")],
        dimensions={"SoortMisdrijf": DimensionSpec({"0.0.0": "Totaal", "1.1.1": "Inbraak"}, 6)},
    )


CRIME_ENTRY: dict[str, Any] = {
    "selection": {"SoortMisdrijf": ["1.1.1"]},
    "region_levels": ["gemeente"],
    "measures": {"inbraak": ["Misdrijven"]},
}


def test_rows_beside_the_requested_ones_are_dropped_and_noted() -> None:
    with ODataServer(crimes()) as server, server.fault(Fault("filter_ignored")):
        delivery = fetch(server, entry=CRIME_ENTRY)
    assert delivery.entities["TypedDataSet"].height == 14 * 5
    assert delivery.notes == ("100 rows that were not asked for were left out",)


def test_a_filter_of_which_only_the_first_group_counts_is_noticed() -> None:
    with ODataServer(crimes()) as server, server.fault(Fault("filter_first_only")):
        delivery = fetch(server, entry=CRIME_ENTRY)
    assert delivery.entities["TypedDataSet"].height == 14 * 5
    assert delivery.notes == ("70 rows that were not asked for were left out",)


def test_other_rows_in_place_of_the_requested_ones_are_refused() -> None:
    """The filter is ignored and the requested level has no rows: it may be the wrong head."""
    with ODataServer(crimes()) as server, server.fault(Fault("filter_ignored")):
        rows = server.store[TABLE]["TypedDataSet"]
        server.store[TABLE]["TypedDataSet"] = [r for r in rows if r["RegioS"][:2] != "PV"]
        entry = {**CRIME_ENTRY, "region_levels": ["gemeente", "provincie"]}
        says = "asked for RegioS GM, PV, received GM: the filter was not followed"
        with pytest.raises(SourceAnswerError, match=says):
            fetch(server, entry=entry)


def test_an_item_without_rows_is_refused() -> None:
    with ODataServer(crimes()) as server:
        rows = server.store[TABLE]["TypedDataSet"]
        server.store[TABLE]["TypedDataSet"] = [r for r in rows if r["SoortMisdrijf"] != "0.0.0 "]
        entry = {**CRIME_ENTRY, "selection": {"SoortMisdrijf": ["0.0.0", "1.1.1"]}}
        says = "asked for SoortMisdrijf 0.0.0, 1.1.1, received 1.1.1: the filter was not"
        with pytest.raises(SourceAnswerError, match=says):
            fetch(server, entry=entry)


def test_a_level_that_the_table_lists_but_has_no_rows_of_is_noted(server: ODataServer) -> None:
    server.store = m.remove_region_rows(server.store, TABLE, "CR12")
    assert fetch(server).notes == ("no rows of level CR, which RegioS lists",)


# ---- completeness when the service counts badly or not at all


def test_without_a_count_the_record_count_is_the_limit(server: ODataServer) -> None:
    server.can_count = False
    says = "the service did not count the filtered rows; the last page could be missing"
    assert fetch(server).notes == (says,)
    server.store = m.set_info(server.store, TABLE, RecordCount=84)
    with pytest.raises(SourceAnswerError, match="expected at most 84 rows by RecordCount, receiv"):
        fetch(server)


def test_an_unfiltered_table_must_have_its_record_count(server: ODataServer) -> None:
    server.can_count = False
    fetch(server, entry={"region_levels": []})
    server.store = m.set_info(server.store, TABLE, RecordCount=86)
    with pytest.raises(SourceAnswerError, match="expected 86 rows by RecordCount, received 85"):
        fetch(server, entry={"region_levels": []})


@pytest.mark.parametrize("status", [400, 404, 500, 501])
def test_a_refused_count_is_no_error(server: ODataServer, status: int) -> None:
    fault = Fault("status", entity="$count", status=status)
    with server.fault(fault):
        assert "did not count" in fetch(server).notes[0]
    assert fault.hits == 1


def test_a_count_that_is_no_number_is_no_error(server: ODataServer) -> None:
    with server.fault(Fault("html", entity="$count")):
        assert "did not count" in fetch(server).notes[0]


def test_a_count_that_differs_is_an_error(server: ODataServer) -> None:
    with server.fault(Fault("count_wrong")), pytest.raises(SourceAnswerError, match="expected 86"):
        fetch(server)


def test_a_count_that_ignores_the_filter_proves_nothing(server: ODataServer) -> None:
    with server.fault(Fault("count_unfiltered")):
        delivery = fetch(server, entry={"region_levels": ["gemeente"]})
    assert delivery.entities["TypedDataSet"].height == 70
    assert "did not count" in delivery.notes[0]


# ---- answers that are too much


def test_a_huge_answer_stops_at_the_limit(server: ODataServer) -> None:
    tracemalloc.start()
    with (
        server.fault(data("huge", size=200_000_000)),
        pytest.raises(SourceAnswerError, match=r"99001ned: .*stopped at 2,000,000 bytes .*BTG_MAX"),
    ):
        fetch(server, max_bytes=2_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30_000_000
    assert server.bytes_sent < 20_000_000


def test_an_answer_that_announces_its_size_is_not_even_begun(server: ODataServer) -> None:
    fault = data("huge", headers={"Content-Length": "200000000"})
    with server.fault(fault), pytest.raises(SourceAnswerError, match="stopped at 150,000,000"):
        fetch(server)
    assert server.bytes_sent < 20_000_000


def test_a_small_answer_that_unpacks_to_a_huge_one_stops_at_the_limit(server: ODataServer) -> None:
    tracemalloc.start()
    with (
        server.fault(data("bomb", size=50_000_000)),
        pytest.raises(SourceAnswerError, match="stopped at 2,000,000 bytes"),
    ):
        fetch(server, max_bytes=2_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30_000_000


def test_the_byte_limit_is_for_the_whole_table(server: ODataServer) -> None:
    with pytest.raises(SourceAnswerError, match="stopped at 15,000 bytes for this table"):
        fetch(server, max_bytes=15_000)


def test_a_table_of_too_many_pages_is_refused(
    server: ODataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(Limits(), max_requests=10)
    monkeypatch.setattr(Limits, "of", lambda *_: few)
    with pytest.raises(SourceAnswerError, match=r"99001ned: .* takes more than 10 requests"):
        fetch(server)
    assert len(server.requests) == 10


# ---- other places


def test_a_link_to_another_host_is_refused(server: ODataServer) -> None:
    with ODataServer(small_table(TABLE)) as other:
        link = f"{other.url}/ODataFeed/odata/{TABLE}/TypedDataSet?$skip=20"
        says = f"expected http://127.0.0.1:{server.port}, found http://127.0.0.1:{other.port}"
        with (
            server.fault(data("next_to", 1, location=link)),
            pytest.raises(SourceAnswerError, match=says),
        ):
            fetch(server)
        assert other.connections == 0


@pytest.mark.parametrize("place", ["https://{host}/x", "http://someone:secret@{host}/x"])
def test_a_link_to_another_scheme_or_with_a_user_is_refused(
    server: ODataServer, place: str
) -> None:
    link = place.format(host=f"127.0.0.1:{server.port}")
    with (
        server.fault(data("next_to", 1, location=link)),
        pytest.raises(SourceAnswerError, match="page 1, link to the next page") as caught,
    ):
        fetch(server)
    assert "secret" not in str(caught.value)


def test_a_redirect_on_the_same_host_is_followed(server: ODataServer) -> None:
    location = f"/ODataFeed/odata/{TABLE}/TableInfos?$format=json"
    with server.fault(Fault("redirect", entity="TableInfos", location=location, times=2)):
        assert fetch(server).entities["TypedDataSet"].height == 85


def test_a_redirect_to_another_host_is_refused(server: ODataServer) -> None:
    with ODataServer(small_table(TABLE)) as other:
        location = f"{other.url}/ODataFeed/odata/{TABLE}/TableInfos"
        with (
            server.fault(Fault("redirect", entity="TableInfos", location=location)),
            pytest.raises(SourceAnswerError, match=f"redirected: .*127.0.0.1:{other.port}"),
        ):
            fetch(server)
        assert other.connections == 0


def test_a_redirect_loop_ends(server: ODataServer) -> None:
    with (
        server.fault(Fault("redirect", entity="TableInfos")),
        pytest.raises(SourceAnswerError, match=r"more than 3 times \(a loop\?\)"),
    ):
        fetch(server)
    assert len(server.requests) == 4


def test_an_entity_with_no_name_for_a_file_is_refused(server: ODataServer) -> None:
    server.store[TABLE]["..rare-naam"] = [{"Key": "x"}]
    says = "service document: '..rare-naam' is not the name of an entity"
    with pytest.raises(SourceAnswerError, match=says):
        fetch(server)


def test_a_change_of_the_properties_while_reading_is_noticed(server: ODataServer) -> None:
    def hook(request: Request) -> None:
        if request.entity == "":
            server.store = m.change_unit(
                server.store, TABLE, ("Inkomen", "Vermogen", "Alle huishoudens"), "euro"
            )

    server.hooks.append(hook)
    with pytest.raises(SourceAnswerError, match="DataProperties changed while it was read"):
        fetch(server)
