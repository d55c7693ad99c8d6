"""Paths, service addresses and limits of one run, read once from the environment."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from btg.errors import UsageError

DEFAULT_CBS_URL = "https://opendata.cbs.nl"
DEFAULT_DATADERDEN_URL = "https://dataderden.cbs.nl"


@dataclass(frozen=True)
class Settings:
    """Where things are and how patient to be; every path is absolute.

    ``home`` holds ``data/``; ``seed_raw`` is the committed seed of the package's repository,
    read when ``home`` has no snapshot of its own. Times are in seconds, sizes in bytes.
    ``lock_wait_s`` is how long a refresh waits for another; ``run_limit_s`` is for a run under
    Prefect. ``webhook_url`` hears when a run needs a human; it is never shown, because such an
    address often holds a secret.
    """

    home: Path
    repository: Path
    cbs_url: str = DEFAULT_CBS_URL
    dataderden_url: str = DEFAULT_DATADERDEN_URL
    timeout_s: float = 10.0
    retries: int = 2
    connect_timeout_s: float = 2.5
    deadline_s: float = 900.0
    max_bytes: int = 150_000_000
    history_keep: int = 30
    runs_keep_days: int = 400
    lock_wait_s: float = 60.0
    run_limit_s: float = 7200.0
    webhook_url: str | None = field(default=None, repr=False)

    @property
    def raw_dir(self) -> Path:
        """Folder of the raw snapshots."""
        return self.home / "data" / "raw"

    @property
    def seed_raw_dir(self) -> Path:
        """Folder of the committed seed snapshots."""
        return self.repository / "data" / "raw"

    @property
    def marts_dir(self) -> Path:
        """Folder of the published database and all that belongs to it."""
        return self.home / "data" / "marts"

    @property
    def database(self) -> Path:
        """The published file."""
        return self.marts_dir / "btg.duckdb"

    @property
    def build_dir(self) -> Path:
        """Folder of files that are not published yet; whatever a killed run left is worthless."""
        return self.marts_dir / ".build"

    @property
    def runs_dir(self) -> Path:
        """Folder of the run state and the run reports."""
        return self.marts_dir / "runs"

    @property
    def sql_dir(self) -> Path:
        """Folder of the SQL models."""
        return self.repository / "sql"


def load_settings(environment: dict[str, str] | None = None) -> Settings:
    """Return the settings of this process; a value that cannot be used is a ``UsageError``."""
    env = dict(os.environ) if environment is None else environment
    repository = _repository()
    return Settings(
        home=Path(env.get("BTG_HOME") or repository).expanduser().resolve(),
        repository=repository,
        cbs_url=_service_url(env, "BTG_CBS_URL", DEFAULT_CBS_URL),
        dataderden_url=_service_url(env, "BTG_DATADERDEN_URL", DEFAULT_DATADERDEN_URL),
        timeout_s=_number(env, "BTG_TIMEOUT_S", 10.0, minimum=0.1),
        retries=_whole_number(env, "BTG_RETRIES", 2, minimum=0),
        deadline_s=_number(env, "BTG_DEADLINE_S", 900.0, minimum=1),
        max_bytes=_whole_number(env, "BTG_MAX_BYTES", 150_000_000, minimum=1_000),
        history_keep=_whole_number(env, "BTG_HISTORY_KEEP", 30, minimum=1),
        runs_keep_days=_whole_number(env, "BTG_RUNS_KEEP_DAYS", 400, minimum=1),
        lock_wait_s=_number(env, "BTG_LOCK_WAIT_S", 60.0, minimum=0),
        run_limit_s=_number(env, "BTG_RUN_LIMIT_S", 7200.0, minimum=1),
        webhook_url=env.get("BTG_WEBHOOK_URL") or None,
    )


def _repository() -> Path:
    """Return the checkout that this package was installed from (editable install)."""
    return Path(__file__).resolve().parents[2]


def _service_url(env: dict[str, str], name: str, default: str) -> str:
    value = (env.get(name) or default).strip().rstrip("/")
    if not _is_service(value):
        raise UsageError(
            f"{name}={value.rpartition('@')[2]!r} is not the address of a service: give scheme, "
            f"host and port only, such as {default}"
        )
    return value


def _is_service(url: str) -> bool:
    """Return whether an address is scheme, host and port, and nothing else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    more = (parts.path, parts.query, parts.fragment, parts.username)
    return (
        parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and not any(more)
    )


def _whole_number(env: dict[str, str], name: str, default: int, minimum: int) -> int:
    value = _number(env, name, default, minimum)
    if value != int(value):
        raise UsageError(f"{name}={env[name]!r} is not a whole number")
    return int(value)


def _number(env: dict[str, str], name: str, default: float, minimum: float) -> float:
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{name}={text!r} is not a number") from None
    if not minimum <= value < float("inf"):
        raise UsageError(f"{name}={text!r} does not work: give a number of at least {minimum:g}")
    return value
