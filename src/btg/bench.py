"""How long the work takes on this machine: stages of an offline refresh, and the start-up."""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from btg.catalogue.loader import load_catalogue
from btg.pipeline import Options, Workspace, refresh
from btg.settings import Settings, load_settings


def run(settings: Settings, rounds: int) -> dict[str, Any]:
    """Return median, minimum and maximum seconds per stage over ``rounds`` refreshes of the seed.

    Every round starts in an empty home; start-up times are those of a new process. Peak memory is
    that of this process, the validation library included.
    """
    samples: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, seconds in _one_refresh().items():
            samples.setdefault(name, []).append(seconds)
        samples.setdefault("btg --help", []).append(_command("--help"))
        samples.setdefault("btg status", []).append(_command("status"))
    timings = [
        {
            "what": name,
            "median": statistics.median(values),
            "minimum": min(values),
            "maximum": max(values),
        }
        for name, values in samples.items()
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rounds": rounds, "timings": timings, "peak_mb": peak, "home": str(settings.home)}


def _one_refresh() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        workspace = Workspace(load_settings({"BTG_HOME": home}), load_catalogue())
        start = time.perf_counter()
        report = refresh(workspace, Options(offline=True))
        total = time.perf_counter() - start
        if report.outcome != "published":
            raise RuntimeError(f"the measured refresh did not publish: {report.message}")
        again = time.perf_counter()
        refresh(Workspace(workspace.settings, workspace.catalogue), Options(offline=True))
        nothing_new = time.perf_counter() - again
    stages = {f"stage {name}": seconds for name, seconds in report.stages_s.items()}
    return {"refresh, all": total, **stages, "refresh, nothing new": nothing_new}


def _command(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "btg.cli", *arguments], stdout=subprocess.DEVNULL, check=False
    )
    return time.perf_counter() - start
