"""Settings are read once; a value that cannot be used is an error that names the variable."""

from pathlib import Path

import pytest

from btg.errors import UsageError
from btg.settings import DEFAULT_CBS_URL, DEFAULT_DATADERDEN_URL, load_settings


def test_without_a_word_the_repository_is_home_and_the_public_services_are_asked() -> None:
    settings = load_settings({})
    assert settings.home == settings.repository
    assert (settings.repository / "sql" / "10_staging").is_dir()
    assert (settings.cbs_url, settings.dataderden_url) == (DEFAULT_CBS_URL, DEFAULT_DATADERDEN_URL)
    assert DEFAULT_CBS_URL == "https://opendata.cbs.nl"
    assert DEFAULT_DATADERDEN_URL == "https://dataderden.cbs.nl"


def test_everything_that_is_written_lies_below_home_and_the_sql_does_not(tmp_path: Path) -> None:
    settings = load_settings({"BTG_HOME": str(tmp_path)})
    assert settings.raw_dir == tmp_path / "data" / "raw"
    assert settings.database == tmp_path / "data" / "marts" / "btg.duckdb"
    assert settings.runs_dir.is_relative_to(settings.marts_dir)
    assert not settings.sql_dir.is_relative_to(tmp_path)
    assert settings.seed_raw_dir == settings.repository / "data" / "raw"


def test_home_may_be_relative_and_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings({"BTG_HOME": "here"}).home == tmp_path / "here"


def test_the_environment_of_the_process_is_read_when_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BTG_HOME", str(tmp_path))
    assert load_settings().home == tmp_path


@pytest.mark.parametrize("name", ["BTG_CBS_URL", "BTG_DATADERDEN_URL"])
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "https://proxy.example", "http://[::1]:9"]
)
def test_a_service_is_scheme_host_and_port(name: str, url: str) -> None:
    settings = load_settings({name: f" {url}/ "})
    assert url in (settings.cbs_url, settings.dataderden_url)


@pytest.mark.parametrize(
    "url",
    [
        "opendata.cbs.nl",
        "ftp://opendata.cbs.nl",
        "https://",
        "https://opendata.cbs.nl/ODataFeed",
        "https://opendata.cbs.nl?key=1",
        "https://opendata.cbs.nl#top",
        "https://opendata.cbs.nl:99999",
        "https://opendata.cbs.nl:port",
        "http://127.0.0.1:0",
        "http://[::1",
    ],
)
def test_any_other_address_is_an_error_that_names_the_variable(url: str) -> None:
    with pytest.raises(UsageError, match="BTG_CBS_URL"):
        load_settings({"BTG_CBS_URL": url})


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="BTG_CBS_URL") as caught:
        load_settings({"BTG_CBS_URL": "https://user:secret@opendata.cbs.nl"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BTG_TIMEOUT_S", "soon"),
        ("BTG_TIMEOUT_S", "0"),
        ("BTG_TIMEOUT_S", "-1"),
        ("BTG_TIMEOUT_S", "nan"),
        ("BTG_TIMEOUT_S", "inf"),
        ("BTG_RETRIES", "-1"),
        ("BTG_RETRIES", "2.7"),
        ("BTG_DEADLINE_S", "0"),
        ("BTG_MAX_BYTES", "10"),
        ("BTG_HISTORY_KEEP", "0"),
        ("BTG_HISTORY_KEEP", "1.5"),
    ],
)
def test_a_limit_that_cannot_work_is_an_error_that_names_the_variable(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"{name}='{text}'") as caught:
        load_settings({name: text})
    assert caught.value.exit_code == 2


def test_limits_are_read_as_given() -> None:
    settings = load_settings(
        {
            "BTG_TIMEOUT_S": "3.5",
            "BTG_RETRIES": "0",
            "BTG_HISTORY_KEEP": "1",
            "BTG_MAX_BYTES": "1e6",
        }
    )
    assert settings.timeout_s == 3.5
    assert settings.retries == 0
    assert settings.history_keep == 1
    assert settings.max_bytes == 1_000_000


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings({"BTG_TIMEOUT_S": "", "BTG_CBS_URL": ""}) == load_settings({})


def test_settings_cannot_be_changed_after_reading() -> None:
    with pytest.raises(AttributeError):
        load_settings({}).retries = 3  # type: ignore[misc]
