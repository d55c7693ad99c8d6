import pytest
from tests.uncertainty.conftest import Built

from btg import warehouse
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import SurveyStatement


def test_every_statement_of_the_survey_has_a_verdict(built: Built, catalogue: Catalogue) -> None:
    rows = dict(
        warehouse.rows(built.con, "select statement_id, verdict from marts.external_validity")
    )
    assert set(rows) == {s.id for s in catalogue.survey_statements}
    assert {"agrees", "does_not_agree", "not_testable"} == set(rows.values())
    untestable = {s.id for s in catalogue.survey_statements if s.kind == "not_testable"}
    assert {name for name, verdict in rows.items() if verdict == "not_testable"} == untestable


def test_a_verdict_follows_the_ranks_of_the_14(built: Built) -> None:
    top = warehouse.rows(
        built.con,
        "select cast(region_code as varchar) from marts.btg_index where is_twente and year = 2022 "
        "order by score desc limit 4",
    )
    named = {"GM0183", "GM1774", "GM0189", "GM1735"}
    expected = "agrees" if {code for (code,) in top} == named else "does_not_agree"
    rows = warehouse.rows(
        built.con,
        "select verdict from marts.external_validity where statement_id = 'hoogste_vier_2025'",
    )
    assert rows == [(expected,)]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "not_testable", "reason": ""},
        {"kind": "above", "regions": ["CR12"]},
        {"kind": "highest"},
    ],
)
def test_a_statement_must_fit_its_kind(fault: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="statement s"):
        SurveyStatement(id="s", edition_year=2022, statement_nl="...", **fault)  # type: ignore[arg-type]
