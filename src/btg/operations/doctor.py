"""Whether this machine can do its nightly work: what to look at, what was found, what to do.

Every check reads; none writes, and only those of the service ask anything over the network.
"""

import fcntl
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from btg import warehouse
from btg.answers import freshness
from btg.catalogue.loader import Catalogue, load_catalogue
from btg.errors import BtgError
from btg.operations import notify, service
from btg.operations.service import Check
from btg.settings import Settings

STALE_AFTER_H = 26.0
"""A night and some patience: longer without a run that ended well is an alarm."""
FREE_WARN_BYTES = 2_000_000_000
FREE_FAIL_BYTES = 300_000_000
LEFTOVER_AFTER_H = 24.0
CLOCK_TOLERANCE_MIN = 5.0


def examine(settings: Settings, now: datetime) -> list[Check]:
    """Return all checks in the order in which one would look; one that breaks is a fail."""
    looks: dict[str, Callable[[], Check]] = {
        "versions": check_versions,
        "disk": lambda: check_disk(settings),
        "permissions": lambda: check_permissions(settings),
        "clock": lambda: check_clock(settings, now),
        "lock": lambda: check_lock(settings, now),
        "published": lambda: check_published(settings),
        "last run": lambda: check_last_run(settings, now),
        "tables": lambda: check_tables(settings, load_catalogue(), now),
        "leftovers": lambda: check_leftovers(settings, now),
        "webhook": lambda: check_webhook(settings),
    }
    checks = [_looked(name, look) for name, look in looks.items()]
    try:
        return checks + service.examine(settings)
    except Exception as error:
        return [*checks, Check("service", "fail", repr(error)[:200], "docs/operations.md, install")]


def _looked(name: str, look: Callable[[], Check]) -> Check:
    """Return the result of a check; what it could not look at is something to look at."""
    try:
        return look()
    except BtgError as error:
        return Check(name, "fail", str(error), "correct this first; btg check says more")
    except Exception as error:
        found = f"could not be looked at: {type(error).__name__}: {str(error)[:200]}"
        return Check(name, "fail", found, "chown -R the folder to the user of the service")


def exit_code(checks: list[Check]) -> int:
    """Return 3 if something is broken, 4 if something needs attention, else 0."""
    states = {check.state for check in checks}
    if "fail" in states:
        return 3
    return 4 if "warn" in states else 0


def tell(settings: Settings, checks: list[Check]) -> bool:
    """Send what is not well to the webhook; returns whether it was taken.

    ``stale`` if no run ended well for too long, ``failed`` if something else is broken, else
    ``attention``. A source that was away last night is none of these: it tells once it is too old.
    """
    unwell = [c for c in checks if c.state in ("warn", "fail")]
    bad = [f"{c.name}: {c.found}" for c in unwell if (c.name, c.state) != ("last run", "warn")]
    if not bad:
        return False
    event: notify.Event = "failed" if any(c.state == "fail" for c in unwell) else "attention"
    if any((c.name, c.state) == ("last run", "fail") for c in unwell):
        event = "stale"
    notice = notify.Notice(event, f"btg doctor: {bad[0]}", details=bad)
    return notify.send(settings, notice)


def check_versions() -> Check:
    """Python and every declared dependency are within the pins."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    python = platform.python_version()
    wanted = SpecifierSet(metadata.metadata("btg")["Requires-Python"] or "")
    wrong = [] if wanted.contains(python) else [f"python {python}, needs {wanted}"]
    for text in metadata.requires("btg") or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing, needs {requirement.specifier}")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found}, needs {requirement.specifier}")
    if wrong:
        return Check(
            "versions",
            "fail",
            "; ".join(wrong),
            "rm -f .venv/.ready, then make setup, in the project folder",
        )
    main = ", ".join(f"{name} {metadata.version(name)}" for name in ("duckdb", "polars", "prefect"))
    return Check("versions", "ok", f"btg {metadata.version('btg')}, python {python}, {main}")


def check_disk(settings: Settings) -> Check:
    """There is room for a build, the history and the raw snapshots."""
    free = shutil.disk_usage(_existing(settings.marts_dir)).free
    found = f"{free / 1e9:.1f} GB free under {settings.home}"
    if free < FREE_FAIL_BYTES:
        return Check("disk", "fail", found, "make room: a build cannot be written")
    if free < FREE_WARN_BYTES:
        return Check("disk", "warn", found, "make room, or lower BTG_HISTORY_KEEP")
    return Check("disk", "ok", found)


def check_permissions(settings: Settings) -> Check:
    """This user may write where a run writes, and nobody may write to the published file."""
    folders = (settings.raw_dir, settings.marts_dir, settings.runs_dir)
    closed = [
        str(path)
        for path in dict.fromkeys(_existing(folder) for folder in folders)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK)
    ]
    if closed:
        found = f"may not write to {', '.join(closed)}"
        return Check("permissions", "fail", found, "chown -R the folder to the user of the service")
    if settings.database.exists() and settings.database.stat().st_mode & 0o222:
        found = f"{settings.database.name} can be written to; only a rename may replace it"
        return Check("permissions", "warn", found, f"chmod 444 {settings.database}")
    return Check("permissions", "ok", f"may write under {settings.home / 'data'}")


def check_clock(settings: Settings, now: datetime) -> Check:
    """The clock is not behind what this machine has already written, and knows the time zone."""
    try:
        ZoneInfo(service.TIME_ZONE)
    except ZoneInfoNotFoundError:
        found = f"no time zone {service.TIME_ZONE}"
        return Check("clock", "fail", found, "install the package tzdata of the system")
    newest = max(_moments(settings), default=None)
    found = f"{now.isoformat(timespec='minutes')} UTC"
    if newest is not None and newest > now + timedelta(minutes=CLOCK_TOLERANCE_MIN):
        found += f", but something was written at {newest.isoformat(timespec='minutes')}"
        return Check("clock", "fail", found, "set the clock; ages and schedules are wrong")
    return Check("clock", "ok", found)


def check_lock(settings: Settings, now: datetime) -> Check:
    """No run holds the data folder, or one that is not yet over its limit."""
    path = settings.marts_dir / ".lock"
    if not path.exists():
        return Check("lock", "ok", "free")
    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return Check("lock", "ok", "free")
        except OSError:
            holder = file.read().strip()
    minutes = (now.timestamp() - path.stat().st_mtime) / 60
    found = f"a run is busy for {minutes:.0f} minutes {holder}"
    if minutes * 60 > settings.run_limit_s:
        return Check("lock", "fail", found, "end that process by its pid; the lock goes with it")
    return Check("lock", "ok", found)


def check_published(settings: Settings) -> Check:
    """There is a published file and it opens."""
    try:
        con = warehouse.open_published(settings.database)
        try:
            run, method = warehouse.rows(
                con, "select (select max(run_id) from meta.run), method_version from meta.method"
            )[0]
        finally:
            con.close()
    except BtgError as error:
        return Check("published", "fail", str(error), "btg refresh, or btg rollback")
    return Check("published", "ok", f"{settings.database.name}, run {run}, method {method}")


def check_last_run(settings: Settings, now: datetime) -> Check:
    """A refresh ended well not too long ago."""
    reports = [
        r for r in _reports(settings) if r.get("command") == "refresh" and not r.get("as_of")
    ]
    if not reports:
        return Check("last run", "fail", "never", "btg refresh")
    last = reports[0]
    good = next((r for r in reports if r.get("outcome") in ("published", "nothing_new")), None)
    found = f"{last['started_at'][:16]}: {last.get('message')} (exit code {last.get('exit_code')})"
    if good is None:
        return Check("last run", "fail", found, "read its report in data/marts/runs")
    hours = (now - datetime.fromisoformat(good["started_at"])).total_seconds() / 3600
    if hours > STALE_AFTER_H:
        found += f"; none ended well for {hours:.0f} hours"
        return Check("last run", "fail", found, "see the schedule, and the log of the service")
    if last is not good:
        return Check("last run", "warn", found, "read its report in data/marts/runs; btg status")
    return Check("last run", "warn" if last.get("exit_code") else "ok", found, "btg status")


def check_tables(settings: Settings, catalogue: Catalogue, now: datetime) -> Check:
    """No table is quarantined or older than it may be."""
    try:
        rows, _ = freshness.status(settings, catalogue, now)
    except BtgError as error:
        return Check("tables", "fail", str(error), "btg raw verify")
    bad = [f"{r['table_id']} {r['state']}" for r in rows if r["state"] not in ("current", "seed")]
    if bad and settings.database.exists():
        return Check("tables", "warn", ", ".join(bad), "btg status says why")
    return Check("tables", "ok", f"{len(rows)} tables")


def check_leftovers(settings: Settings, now: datetime) -> Check:
    """No half-written files of killed runs lie about; they are harmless, and take room."""
    hidden = [p for p in settings.raw_dir.glob("*/*/.*") if _is_older(p, now)]
    build = [p for p in settings.build_dir.glob("*") if _is_older(p, now)]
    if hidden or build:
        found = f"{len(hidden) + len(build)} left by killed runs, such as {(hidden + build)[0]}"
        return Check("leftovers", "warn", found, "the next refresh removes them")
    return Check("leftovers", "ok", "none")


def check_webhook(settings: Settings) -> Check:
    """The address for alarms, if there is one, is an address; it is never shown."""
    if settings.webhook_url is None:
        return Check("webhook", "off", "BTG_WEBHOOK_URL is not set: alarms are in the log only")
    if not notify.is_address(settings.webhook_url):
        return Check("webhook", "fail", "not an http or https address", "correct BTG_WEBHOOK_URL")
    return Check("webhook", "ok", "set")


def _reports(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the reports of all runs, newest first; one that cannot be read is passed over."""
    for path in sorted(settings.runs_dir.glob("run_*.json"), reverse=True):
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(report, dict) and report.get("started_at"):
            yield report


def _moments(settings: Settings) -> Iterator[datetime]:
    """Yield moments at which runs or snapshots say that they were made."""
    for report in _reports(settings):
        yield datetime.fromisoformat(report["started_at"])
        break
    for folder in (settings.raw_dir, settings.seed_raw_dir):
        for path in folder.glob("*/*/[!.]*/snapshot.json"):
            try:
                text = json.loads(path.read_text(encoding="utf-8"))["retrieved_at"]
                yield datetime.fromisoformat(text)
            except (OSError, ValueError, KeyError, TypeError):
                continue


def _existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    return path if path.exists() else _existing(path.parent)


def _is_older(path: Path, now: datetime) -> bool:
    return now.timestamp() - path.lstat().st_mtime > LEFTOVER_AFTER_H * 3600
