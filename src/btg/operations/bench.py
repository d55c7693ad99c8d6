"""How long the work takes on this machine: a refresh, its stages, commands, and the flow around."""

import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from btg.catalogue.loader import load_catalogue
from btg.operations import flow_overhead
from btg.pipeline import Options, Workspace, refresh
from btg.settings import Settings, load_settings

COMMANDS = ("--help", "status", "plan --offline", "raw list")


def run(settings: Settings, rounds: int, with_flow: bool = True) -> dict[str, Any]:
    """Return median, minimum and maximum seconds of everything measured, over ``rounds``.

    Every refresh publishes the seed into an empty home, offline. ``refresh, ...`` and ``stage ...``
    are timed in this process, the others as new processes from start to end. ``peak_mb`` is the
    most memory that a publishing ``btg refresh`` held. With the flow, a Prefect server runs on
    127.0.0.1 for as long as its runs are measured. A refresh that does not publish is an error.
    """
    samples: dict[str, list[float]] = {}
    peaks: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as home:
            _add(samples, _one_refresh(Path(home)))
            times, peak = _commands(settings, Path(home))
            _add(samples, times)
            peaks.append(peak)
    if with_flow:
        found = flow_overhead.measure(settings, rounds)
        samples |= {name: [p.seconds for p in runs] for name, runs in found.items()}
        samples |= flow_overhead.overheads(found)
    timings = [
        {
            "what": name,
            "median": statistics.median(values),
            "minimum": min(values),
            "maximum": max(values),
        }
        for name, values in samples.items()
    ]
    return {"rounds": rounds, "timings": timings, "peak_mb": max(peaks), "home": str(settings.home)}


def _one_refresh(home: Path) -> dict[str, float]:
    workspace = Workspace(load_settings({"BTG_HOME": str(home)}), load_catalogue())
    start = time.perf_counter()
    report = refresh(workspace, Options(offline=True))
    total = time.perf_counter() - start
    if report.outcome != "published":
        raise RuntimeError(f"the measured refresh did not publish: {report.message}")
    again = time.perf_counter()
    refresh(Workspace(workspace.settings, workspace.catalogue), Options(offline=True))
    nothing_new = time.perf_counter() - again
    stages = {f"stage {name}": seconds for name, seconds in report.stages_s.items()}
    return {"refresh, publishing": total, **stages, "refresh, nothing new": nothing_new}


def _commands(settings: Settings, home: Path) -> tuple[dict[str, float], float]:
    """Return the seconds of commands on a published home, and the peak of one that publishes."""
    environment = flow_overhead.environment(home, BTG_HOME=str(home))
    times = {}
    for command in COMMANDS:
        arguments = ["-m", "btg.cli", *command.split()]
        ran = flow_overhead.run_python(settings.repository, arguments, environment)
        times[f"btg {command}"] = ran.seconds
    with tempfile.TemporaryDirectory() as empty:
        arguments = ["-m", "btg.cli", "refresh", "--offline"]
        ran = flow_overhead.run_python(
            settings.repository, arguments, {**environment, "BTG_HOME": empty}
        )
        times["btg refresh --offline, publishing"] = ran.seconds
    return times, ran.peak_mb


def _add(samples: dict[str, list[float]], more: Mapping[str, float]) -> None:
    for name, seconds in more.items():
        samples.setdefault(name, []).append(seconds)
