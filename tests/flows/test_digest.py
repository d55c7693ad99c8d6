"""What the screens of the orchestrator show of a run."""

from typing import Any

import pytest

from btg import workspace as the_workspace
from btg.catalogue.loader import Catalogue
from btg.operations import digest
from btg.quality.findings import Finding
from btg.settings import Settings
from btg.workspace import Decision, Ending, Fetched, RunReport, Workspace


def report(**values: Any) -> RunReport:
    return RunReport("20261124T031500_000", "2026-11-24T03:15:00+00:00", "refresh", **values)


@pytest.mark.parametrize(
    ("outcome", "exit_code", "ending"),
    [
        ("published", 0, "published"),
        ("published", 4, "published_with_warnings"),
        ("nothing_new", 0, "nothing_new"),
        ("nothing_new", 4, "nothing_new_with_warnings"),
        ("blocked", 3, "blocked"),
        ("blocked", 2, "blocked"),
        (None, 1, "blocked"),
    ],
)
def test_every_end_of_a_run_has_its_own_word(outcome: Any, exit_code: int, ending: Ending) -> None:
    run = report(outcome=outcome, exit_code=exit_code)
    assert the_workspace.ending(run) == ending
    assert digest.markdown(run).startswith(f"# {digest.TITLES[ending]}")


def test_the_report_names_every_table_with_what_came_of_it() -> None:
    run = report(
        outcome="published",
        exit_code=4,
        message="published btg.duckdb",
        decisions=[
            Decision("rivm", "50150NED", "fetch", "changed"),
            Decision("cbs", "70072ned", "failed", "no connection"),
        ],
        fetched=[Fetched("50150NED", "quarantined", "unit is 'promille'")],
        table_states={"50150NED": "quarantined", "70072ned": "seed"},
        warnings=["rivm/50150NED: unit is 'promille'"],
        stages_s={"plan": 0.25},
    )
    text = digest.markdown(run)
    assert "| rivm | 50150NED | quarantined | fetch | quarantined | unit is 'promille' |" in text
    assert "| cbs | 70072ned | seed | failed |  | no connection |" in text
    assert "| plan | 0.2 |" in text
    assert [f["table"] for f in digest.findings(run)] == ["70072ned", "50150NED"]


def test_text_of_a_source_is_no_markup() -> None:
    run = report(outcome="published", warnings=["<script>x</script> | [a](http://x)\nnew *line*"])
    text = digest.markdown(run)
    assert "<script>" not in text.replace("\\<", "")
    assert "\\<script\\>" in text
    assert "\\| \\[a\\](http://x) new \\*line\\*" in text


def test_the_worst_findings_come_first_and_passed_ones_not_at_all() -> None:
    def finding(severity: Any, is_passed: bool) -> Finding:
        return Finding("gate2", f"c_{severity}", severity, is_passed, "marts.x", 1, "", severity)

    found = [finding("info", False), finding("critical", False), finding("warning", True)]
    shown = digest.findings(report(outcome="blocked", findings=found))
    assert [row["severity"] for row in shown] == ["critical", "info"]


def test_the_link_leads_to_the_report_page_once_there_is_one(
    home: Settings, catalogue: Catalogue
) -> None:
    workspace = Workspace(home, catalogue)
    assert digest.report_path(workspace) == the_workspace.report_path(workspace)
    page = home.marts_dir / "report" / "index.html"
    page.parent.mkdir()
    page.write_text("<!doctype html>")
    assert digest.report_path(workspace) == page
    assert digest.revisions(workspace) == []
