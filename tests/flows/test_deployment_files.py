"""What is installed is what was meant: schedules, limits, units, automations, and no telemetry."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "docs" / "deployment"
DEPLOYMENTS = {
    entry["name"]: entry
    for entry in yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]
}


def test_nightly_and_weekly_one_at_a_time_in_the_process_pool() -> None:
    schedules = {name: entry["schedules"] for name, entry in DEPLOYMENTS.items()}
    zone = "Europe/Amsterdam"
    assert schedules == {
        "nightly": [{"cron": "15 3 * * *", "timezone": zone}],
        "weekly": [{"cron": "15 6 * * 0", "timezone": zone}],
    }
    for entry in DEPLOYMENTS.values():
        assert entry["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
        assert entry["work_pool"]["name"] == "btg"
        variables = entry["work_pool"]["job_variables"]["env"]
        assert variables == {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}


def test_no_path_and_no_git_in_the_deployments() -> None:
    text = (REPOSITORY / "prefect.yaml").read_text()
    assert not re.search(r"^\s*(- )?(pull|push|build|git|directory)\S*:", text, re.MULTILINE)
    assert all((REPOSITORY / e["entrypoint"].split(":")[0]).exists() for e in DEPLOYMENTS.values())


def test_the_automations_are_those_of_this_prefect() -> None:
    code = """
import sys, yaml
from prefect.events.schemas.automations import AutomationCore
for path in sys.argv[1:]:
    text = open(path).read().replace("WEBHOOK_BLOCK_ID", "6f1f3f5e-0000-4000-8000-000000000000")
    for entry in yaml.safe_load(text)["automations"]:
        print(AutomationCore.model_validate(entry).name)
"""
    files = [str(FOLDER / "automations.yaml"), str(FOLDER / "automations-notify.yaml")]
    done = subprocess.run(
        [sys.executable, "-c", code, *files],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4


def test_every_state_of_the_flow_is_known_to_the_automations() -> None:
    """A state that the automation for hanging runs does not expect would be cancelled."""
    code = (
        "import sys; sys.path.insert(0, 'flows'); import refresh;"
        "print(*(name for _, name in refresh.FINAL_STATES.values()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    names = set(done.stdout.split())
    assert len(names) == 5
    for file, number in (("automations.yaml", 1), ("automations-notify.yaml", 1)):
        declared = yaml.safe_load((FOLDER / file).read_text())["automations"][number]
        expected = {
            event.removeprefix("prefect.flow-run.") for event in declared["trigger"]["expect"]
        }
        assert names - {"Blocked"} <= expected


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_the_units_are_sound(tmp_path: Path) -> None:
    """The units as installed, with the folders of this machine in place of those of the guide."""
    for unit in sorted((FOLDER / "systemd").iterdir()):
        text = unit.read_text().replace("/srv/btg/app", str(REPOSITORY))
        text = text.replace("User=btg", "User=root").replace("Group=btg", "Group=root")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *sorted(map(str, tmp_path.iterdir()))],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    told = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "btg-" in line]
    assert told == []


def test_the_environment_file_is_quiet_and_local() -> None:
    lines = (FOLDER / "prefect.env").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert values["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert values["DO_NOT_TRACK"] == "1"
    assert values["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"
    assert values["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
    assert not any(re.search("password|secret|token", v, re.IGNORECASE) for v in values.values())


def test_no_real_host_in_what_is_installed() -> None:
    files: list[Any] = [p for p in FOLDER.rglob("*") if p.is_file()]
    files += [REPOSITORY / "docs" / "operations.md", REPOSITORY / "prefect.yaml"]
    allowed = ("127.0.0.1", "localhost", "example.org", "opendata.cbs.nl", "dataderden.cbs.nl")
    hosts = {
        host
        for path in files
        for host in re.findall(r"\w+://(?:[^@/\s]*@)?([A-Za-z0-9.-]+)", path.read_text())
    }
    assert {h for h in hosts if not h.endswith(allowed)} == set()
