"""Runs the rules with great_expectations; the only importer of it, and only inside a call.

An ephemeral context on pandas frames: no files, no network, no telemetry.
"""

import functools
import logging
import os
from collections.abc import Iterable
from typing import Any

from btg import warehouse
from btg.quality.findings import Finding
from btg.quality.rules import Rule, Subject


def import_library() -> Any:
    """Import great_expectations, quietly and without telemetry; takes seconds the first time."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations
    from great_expectations.expectations import expectation as module

    expectation: Any = module
    # asked for fifty times per rule, and always the same for a class
    if not hasattr(expectation.camel_to_snake, "cache_info"):
        expectation.camel_to_snake = functools.cache(expectation.camel_to_snake)
    return great_expectations


def validate(con: warehouse.Connection, subjects: Iterable[Subject]) -> list[Finding]:
    """Return a finding per rule of every subject, passed or not."""
    library = import_library()
    context = library.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    # one asset for all frames: each new one would write the whole configuration again
    asset = context.data_sources.add_pandas("btg").add_dataframe_asset("frame")
    frames = asset.add_batch_definition_whole_dataframe("all")
    findings: list[Finding] = []
    for subject in subjects:
        batch = frames.get_batch({"dataframe": _pandas(con, subject.query)})
        suite = library.ExpectationSuite(
            name=subject.table_name,
            expectations=[_expectation(library, rule) for rule in subject.rules],
        )
        result = batch.validate(
            suite, result_format={"result_format": "BASIC", "partial_unexpected_count": 1}
        )
        by_check = {r.expectation_config.meta["check_id"]: r for r in result.results}
        findings += [_finding(subject, rule, by_check[rule.check_id]) for rule in subject.rules]
    return findings


def _pandas(con: warehouse.Connection, query: str) -> Any:
    """Return a query as a pandas frame, text as categories: a code is stored once, not per row."""
    return con.sql(query).to_arrow_table().to_pandas(strings_to_categorical=True)


def _expectation(library: Any, rule: Rule) -> Any:
    names = library.expectations
    common = {
        "severity": rule.severity,
        "notes": rule.why,
        "meta": {"check_id": rule.check_id},
    }
    column = rule.columns[0] if rule.columns else None
    params = rule.params
    match rule.kind:
        case "columns":
            return names.ExpectTableColumnsToMatchOrderedList(
                column_list=params["columns"], **common
            )
        case "unique" if len(rule.columns) == 1:
            return names.ExpectColumnValuesToBeUnique(column=column, **common)
        case "unique":
            return names.ExpectCompoundColumnsToBeUnique(column_list=list(rule.columns), **common)
        case "between":
            return names.ExpectColumnValuesToBeBetween(
                column=column, min_value=params["minimum"], max_value=params["maximum"], **common
            )
        case "in_set":
            return names.ExpectColumnValuesToBeInSet(
                column=column, value_set=params["values"], **common
            )
        case "contains":
            return names.ExpectColumnDistinctValuesToContainSet(
                column=column, value_set=params["values"], **common
            )
        case "row_count":
            return names.ExpectTableRowCountToBeBetween(min_value=params["minimum"], **common)
        case "null_share":
            return names.ExpectColumnValuesToNotBeNull(
                column=column, mostly=1 - params["maximum"], **common
            )


def _finding(subject: Subject, rule: Rule, result: Any) -> Finding:
    details = result.result or {}
    raised = (result.exception_info or {}).get("raised_exception", False)
    example = details.get("partial_unexpected_list") or [details.get("observed_value")]
    passed = bool(result.success)
    verdict = "could not be checked" if raised else "does not hold"
    what = f"{rule.kind.replace('_', ' ')} {', '.join(rule.columns)}".strip()
    return Finding(
        gate=subject.gate,
        check_id=rule.check_id,
        severity=rule.severity,
        is_passed=passed,
        table_name=subject.table_name,
        n_failed=0 if passed else int(details.get("unexpected_count") or 1),
        example="" if passed else str(example[0])[:200],
        message=rule.why if passed else f"{subject.table_name}: {what} {verdict}: {rule.why}",
    )
