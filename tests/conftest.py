"""Shared by all tests: only 127.0.0.1 is ever addressed, and one published home is shared."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from btg.catalogue.loader import Catalogue, load_catalogue
from btg.pipeline import Options, Workspace, refresh
from btg.settings import Settings, load_settings

# a test that forgets to say where its service is must not reach the real one
os.environ["BTG_CBS_URL"] = "http://127.0.0.1:9"
os.environ["BTG_DATADERDEN_URL"] = "http://127.0.0.1:9"


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Settings:
    """A home in which the seed has been published once; read it, never write to it."""
    home = tmp_path_factory.mktemp("published")
    settings = load_settings({"BTG_HOME": str(home)})
    report = refresh(Workspace(settings, catalogue), Options(offline=True))
    assert report.exit_code == 0, report.message
    return settings


@pytest.fixture
def home(published: Settings, tmp_path: Path) -> Iterator[Settings]:
    """A copy of the published home that a test may do anything to."""
    shutil.copytree(published.home / "data", tmp_path / "data")
    yield load_settings({"BTG_HOME": str(tmp_path)})
