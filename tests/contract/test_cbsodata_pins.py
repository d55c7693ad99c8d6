"""What cbsodata does that the source has to work around; a change in any of it fails here.

When one of these tests fails after an upgrade, the workaround in ``btg.sources.cbs`` that its
docstring names may be wrong or no longer needed.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.support.odata_server import Fault, ODataServer
from tests.support.store import small_table

TABLE = "99001ned"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ODataServer]:
    for name in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    with ODataServer(small_table(TABLE), page_size=50) as running:
        yield running


@pytest.fixture
def cbsodata(server: ODataServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Cbsodata pointed at the loopback service, its root handler taken away again."""
    handlers = list(logging.root.handlers)
    import cbsodata

    monkeypatch.setattr(cbsodata.options, "use_https", False)
    monkeypatch.setattr(cbsodata.options, "catalog_url", f"127.0.0.1:{server.port}")
    yield cbsodata
    for handler in [h for h in logging.root.handlers if h not in handlers]:
        logging.root.removeHandler(handler)


def test_typed_is_inverted(cbsodata: Any) -> None:
    """``_download`` passes ``typed=False`` to get the typed set."""
    assert "TypedDataSet" in cbsodata.download_data(TABLE, typed=False)
    untyped = cbsodata.download_data(TABLE, typed=True)
    assert "TypedDataSet" not in untyped
    assert untyped["UntypedDataSet"][0]["TotaleBevolking_1"].startswith(" ")


def test_get_data_replaces_codes_by_titles_and_download_data_keeps_them(cbsodata: Any) -> None:
    """``_download`` uses ``download_data``: codes are needed with their padding."""
    assert cbsodata.get_data(TABLE)[0]["RegioS"] == "Nederland"
    assert cbsodata.download_data(TABLE)["TypedDataSet"][0]["RegioS"] == "NL01  "


def test_select_and_filter_reach_the_data_set_only(cbsodata: Any, server: ODataServer) -> None:
    """``fetch`` relies on whole metadata beside a sliced data set."""
    condition = "(startswith(RegioS,'GM'))"
    answer = cbsodata.download_data(TABLE, select=["RegioS", "Perioden"], filters=condition)
    assert {tuple(row) for row in answer["TypedDataSet"]} == {("RegioS", "Perioden")}
    assert len(answer["RegioS"]) == 17
    queries = {r.entity: r.query for r in server.requests}
    assert queries["TypedDataSet"]["$filter"] == condition
    assert "$filter" not in queries["RegioS"]


def test_there_is_no_time_out_by_default(
    cbsodata: Any, server: ODataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``Transport`` sets connect and read time-outs on every request."""
    given: list[dict[str, Any]] = []
    send = requests.Session.send

    def listening(self: requests.Session, request: Any, **options: Any) -> Any:
        given.append(options)
        return send(self, request, **options)

    monkeypatch.setattr(requests.Session, "send", listening)
    cbsodata.get_info(TABLE)
    assert [options.get("timeout") for options in given] == [None]
    assert "timeout" not in cbsodata.options.requests


def test_a_time_out_in_the_options_is_used(cbsodata: Any, server: ODataServer) -> None:
    with server.fault(Fault("delay", seconds=5.0)), pytest.raises(requests.ReadTimeout):
        cbsodata.get_info(TABLE, timeout=0.1)


def test_nothing_is_retried(cbsodata: Any, server: ODataServer) -> None:
    """``Transport`` retries."""
    fault = Fault("status", status=503, times=1)
    with server.fault(fault), pytest.raises(requests.HTTPError):
        cbsodata.get_info(TABLE)
    assert len(server.requests) == 1


def test_an_http_error_has_its_status_only_in_its_cause(cbsodata: Any, server: ODataServer) -> None:
    """``Guard`` raises before cbsodata can: the status would be lost."""
    with server.fault(Fault("status", status=503)), pytest.raises(requests.HTTPError) as caught:
        cbsodata.get_info(TABLE)
    assert caught.value.response is None
    assert isinstance(caught.value.__cause__, requests.HTTPError)
    assert caught.value.__cause__.response.status_code == 503


def test_html_with_status_200_is_a_bare_json_error(cbsodata: Any, server: ODataServer) -> None:
    """``Guard`` looks at every body first."""
    with server.fault(Fault("html")), pytest.raises(json.JSONDecodeError) as caught:
        cbsodata.get_info(TABLE)
    assert TABLE not in str(caught.value)


def test_nan_is_handed_on_as_a_number(cbsodata: Any, server: ODataServer) -> None:
    """``frames.figures`` refuses it."""
    with server.fault(Fault("number", entity="TypedDataSet", value="NaN", times=1)):
        row = cbsodata.download_data(TABLE)["TypedDataSet"][0]
    assert row["AlleHuishoudens_3"] != row["AlleHuishoudens_3"]


def test_the_catalog_context_is_not_safe_against_exceptions(cbsodata: Any) -> None:
    """The source passes ``catalog_url`` with each call and never uses ``catalog()``."""
    before = cbsodata.options.catalog_url
    with pytest.raises(RuntimeError), cbsodata.catalog("dataderden.example"):
        raise RuntimeError
    assert cbsodata.options.catalog_url == "dataderden.example" != before


def test_importing_it_puts_a_handler_on_the_root_logger() -> None:
    """``_root_logger_left_alone`` and the replaced ``logging`` keep that from happening."""
    script = (
        "import logging; assert not logging.root.handlers; import cbsodata; "
        "print(len(logging.root.handlers))"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert printed.stdout.strip() == b"1"


def test_every_page_gets_a_new_session_and_connection(cbsodata: Any, server: ODataServer) -> None:
    """``Guard`` stands in for the session and keeps one connection."""
    assert len(cbsodata.get_meta(TABLE, "TypedDataSet")) == 85
    assert [r.page for r in server.requests] == [1, 2]
    assert server.connections == 2


def test_the_names_that_the_source_replaces_exist(cbsodata: Any) -> None:
    """``_cbsodata`` replaces ``Session`` and ``logging`` of this module."""
    from cbsodata import cbsodata3

    assert cbsodata3.Session is requests.Session
    assert cbsodata3.logging is logging
    assert cbsodata3.options is cbsodata.options


def test_the_table_list_does_not_follow_a_next_link(cbsodata: Any, server: ODataServer) -> None:
    """``_TableReader.catalogue`` reads on by itself."""
    server.store = {**server.store, **small_table("99002ned")}
    server.page_size = 1
    assert [row["Identifier"] for row in cbsodata.get_table_list()] == [TABLE]
