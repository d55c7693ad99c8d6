"""Every audit stops a realistic fault, and lets a genuine oddity of the sources pass."""

import duckdb
import pytest

from btg.quality.audits import load_audits, run_audits
from btg.settings import load_settings

SQL_DIR = load_settings({}).sql_dir
AUDITS = {a.check_id.removeprefix("audit."): a for a in load_audits(SQL_DIR)}

SET = "update marts.indicator_score set"
ENSCHEDE = "region_code = 'GM0153'"

FAULTS: dict[str, str] = {
    # a provider fills the new year with the old file
    "a_column_copied_from_the_year_before": (
        f"{SET} value = earlier.value from marts.indicator_score as earlier "
        "where indicator_score.indicator_id = 'woninginbraak' and indicator_score.year = 2021 "
        "and earlier.indicator_id = 'woninginbraak' and earlier.year = 2020 "
        "and earlier.region_code = indicator_score.region_code"
    ),
    # a comma in the wrong place, in one municipality and one year
    "a_municipality_that_reverses": (
        f"{SET} value = value * 10 where {ENSCHEDE} and year = 2018 "
        "and indicator_id = 'mishandeling'"
    ),
    "a_municipality_that_reverses_softly": (
        f"{SET} value = value + 3 where {ENSCHEDE} and year = 2018 "
        "and indicator_id = 'afstand_bibliotheek'"
    ),
    # the nine months that are known, filed as the year
    "a_partial_year_filed_as_a_year": (
        f"{SET} value = value * 0.5 where year = 2021 and indicator_id = 'mishandeling'"
    ),
    # another definition of income from 2018 on, in one municipality
    "a_step_that_persists": (
        f"{SET} value = value * 1.5 where {ENSCHEDE} and year >= 2018 "
        "and indicator_id = 'inkomen_mediaan'"
    ),
    "base_mixed_between_years": (
        f"{SET} obs_first_year = 2018, obs_last_year = 2018 where year = 2019 "
        "and indicator_id = 'werkloosheid' and region_code between 'GM0001' and 'GM0500'"
    ),
    "contributions_sum_to_the_matched_change": (
        "update marts.change_contribution set contribution = contribution + 0.1 "
        f"where {ENSCHEDE} and year = 2021 and indicator_id = 'woninginbraak'"
    ),
    "dimensions_readd_from_scores_and_weights": (
        "update marts.dimension_score set score = score + 1 "
        f"where {ENSCHEDE} and year = 2018 and dimension_id = 'veiligheid'"
    ),
    "every_municipality_of_twente_has_eleven_dimensions": (
        "update marts.dimension_score set score = null "
        "where region_code = 'GM0168' and year = 2022 and dimension_id = 'veiligheid'"
    ),
    # a code of before the merger of 2001
    "every_region_is_in_meta_region": (
        f"update marts.change_contribution set region_code = 'GM0155' where {ENSCHEDE}"
    ),
    "every_variant_for_the_14": (
        f"update marts.btg_index set rank_p05 = null where {ENSCHEDE} and year = 2022"
    ),
    "full_grid": (
        f"delete from marts.indicator_score where {ENSCHEDE} and year = 2020 "
        "and indicator_id = 'stress'"
    ),
    "index_readds_from_scores_and_weights": (
        f"update marts.btg_index set score = score + 0.5 where {ENSCHEDE} and year = 2021"
    ),
    "known_issue_changed_at_the_provider": (
        "update meta.known_issue set value_now = 271, is_current = false "
        "where topic_id = 'vernieling' and region_code = 'GM0441'"
    ),
    "netherlands_is_100_in_the_base_year": (
        f"{SET} score = 100.4 where region_code = 'NL01' and year = 2019 "
        "and indicator_id = 'werkloosheid'"
    ),
    "no_change_without_an_independent_observation": (
        f"{SET} obs_last_year = 2019 where {ENSCHEDE} and year = 2021 "
        "and indicator_id = 'woninginbraak'"
    ),
    "no_difference_across_a_break": (
        "insert into meta.break (indicator_id, year, kind, reason) "
        "values ('woninginbraak', 2020, 'definition', 'sheds no longer count')"
    ),
    "no_null_without_a_reason": (
        f"{SET} missing_reason = null where region_code = 'GM0168' "
        "and indicator_id = 'tevreden_leven' and year = 2021"
    ),
    "no_rank_without_coverage": (
        f"update marts.btg_index set n_dimensions = 2 where {ENSCHEDE} and year = 2021"
    ),
    "provisional_share_within_its_limit": (
        "update marts.btg_index set provisional_share = 0.8 where year = 2022 and score is not null"
    ),
    # EUR for kEUR in one dimension
    "scores_in_a_plausible_range": (
        f"update marts.btg_index set score = score + 70 where {ENSCHEDE} and year = 2021"
    ),
    # a delivery without the northern provinces
    "the_rulers_municipalities_are_present": (
        f"{SET} score = null where year = 2021 and indicator_id = 'werkloosheid' "
        "and region_code between 'GM0001' and 'GM0300'"
    ),
    "twente_within_the_range_of_its_14": (
        f"{SET} value = value * 3 where region_code = 'CR12' and year = 2021 "
        "and indicator_id = 'werkloosheid'"
    ),
    "weights_sum_to_one": (
        "update meta.indicator set weight = 0.9 where indicator_id = 'woninginbraak'"
    ),
}

NOT_SURVEYED = (
    "select 1 from marts.indicator_score where region_code in ('GM0168', 'GM0183') "
    "and indicator_id = 'tevreden_leven' and year = 2021 and missing_reason = 'not_surveyed'"
)
DIP_OF_2020 = (
    "select 1 from marts.indicator_score as now join marts.indicator_score as before "
    "using (indicator_id, region_code) where indicator_id = 'woninginbraak' "
    "and region_code = 'NL01' and now.year = 2020 and before.year = 2019 "
    "and now.value < 0.85 * before.value"
)
ODDITIES: dict[str, str] = {
    # school distances in tenths of a kilometre stay the same nearly everywhere
    "a_column_copied_from_the_year_before": (
        "select 1 from marts.indicator_score as now join marts.indicator_score as before "
        "using (indicator_id, region_code) where indicator_id = 'afstand_basisschool' "
        "and now.year = 2020 and before.year = 2019 and region_code like 'GM%' "
        "having avg((now.value = before.value)::integer) > 0.9"
    ),
    "a_municipality_that_reverses": DIP_OF_2020,
    # a register that jumps for good is no reversal
    "a_municipality_that_reverses_softly": (
        "select 1 from marts.indicator_score where region_code = 'GM0060' and year = 2018 "
        "and indicator_id = 'afstand_kinderdagverblijf' and value < 2"
    ),
    "a_partial_year_filed_as_a_year": DIP_OF_2020,
    # solar power grows by half in a year, in the whole country
    "a_step_that_persists": (
        "select 1 from marts.indicator_score as now join marts.indicator_score as before "
        "using (indicator_id, region_code) where indicator_id = 'zonnestroom' "
        f"and {ENSCHEDE} and now.year = before.year + 1 and now.value > 1.4 * before.value"
    ),
    # the health survey has no wave of 2019: 2016 and 2020 stand in, for everybody
    "base_mixed_between_years": (
        "select 1 from marts.indicator_score where indicator_id = 'roken' and year = 2019 "
        f"and {ENSCHEDE} and obs_first_year = 2016 and obs_last_year = 2020"
    ),
    # in the base year nothing changed
    "contributions_sum_to_the_matched_change": (
        "select 1 from marts.change_since_2019 where year = 2019 and level = 'index' "
        "and matched_change = 0"
    ),
    "dimensions_readd_from_scores_and_weights": NOT_SURVEYED,
    "every_municipality_of_twente_has_eleven_dimensions": NOT_SURVEYED,
    # Hengelo (O.), Hengelo (Ov.) and Hengelo are one; Bergen is two
    "every_region_is_in_meta_region": (
        "select 1 from meta.region where region_code = 'GM0164' and region_name like 'Hengelo%'"
    ),
    # a region that is not a municipality has no rank, so no interval of it
    "every_variant_for_the_14": (
        "select 1 from marts.btg_index where region_code = 'CR12' and year = 2022 "
        "and score is not null and rank_p05 is null"
    ),
    "full_grid": NOT_SURVEYED,
    "index_readds_from_scores_and_weights": (
        "select 1 from marts.btg_index where score is not null and coverage_share < 0.95"
    ),
    # reviewed, and still so at the provider
    "known_issue_changed_at_the_provider": (
        "select 1 from meta.known_issue where region_code = 'GM0441' and action = 'keep' "
        "and is_current"
    ),
    # context has no ruler, so no 100
    "netherlands_is_100_in_the_base_year": (
        "select 1 from marts.indicator_score join meta.indicator using (indicator_id) "
        "where region_code = 'NL01' and year = 2019 and not in_index and score is null"
    ),
    # a carried figure gives a level and no change
    "no_change_without_an_independent_observation": (
        "select 1 from marts.change_since_2019 where direction_reason = "
        "'no_independent_observation' and score is not null and matched_change is null"
    ),
    # a level break keeps its differences
    "no_difference_across_a_break": (
        "select 1 from marts.change_since_2019 as change join meta.break as b "
        "on change.item_id = b.indicator_id where b.kind = 'level' and b.year = 2022 "
        "and change.year = 2022 and change.matched_change is not null"
    ),
    "no_null_without_a_reason": NOT_SURVEYED,
    # a figure of a larger region has an index and no rank
    "no_rank_without_coverage": (
        "select 1 from marts.btg_index where region_code = 'CR12' and year = 2021 "
        "and score is not null and rank_nl is null"
    ),
    # unknown status is not provisional, and shown on its own
    "provisional_share_within_its_limit": (
        "select 1 from marts.btg_index where year = 2022 and status_unknown_share > 0.9"
    ),
    # an island two years without child care: 22.7 km, reviewed
    "scores_in_a_plausible_range": (
        "select 1 from marts.indicator_score where region_code = 'GM0088' and year = 2017 "
        "and indicator_id = 'afstand_kinderdagverblijf' and score < -900"
    ),
    # the survey never had a quarter of the municipalities
    "the_rulers_municipalities_are_present": (
        "select 1 from meta.baseline where indicator_id = 'tevreden_leven' and n_units < 260"
    ),
    "twente_within_the_range_of_its_14": (
        "select 1 from marts.indicator_score where region_code = 'CR12' and year = 2021 "
        "and route = 'aggregated' and weight_covered_share < 1"
    ),
    "weights_sum_to_one": NOT_SURVEYED,
}


def test_every_audit_has_its_fault_and_its_oddity() -> None:
    assert set(FAULTS) == set(AUDITS)
    assert set(ODDITIES) == set(AUDITS)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_audit_stops_the_fault(broken: duckdb.DuckDBPyConnection, name: str) -> None:
    audit = AUDITS[name]
    before = run_audits(broken, [audit])[0]
    broken.execute(FAULTS[name])
    after = run_audits(broken, [audit])[0]
    assert not after.is_passed
    assert after.n_failed > before.n_failed
    assert after.blocks == (audit.severity == "critical")
    assert after.example
    assert audit.why in after.message


@pytest.mark.parametrize("name", sorted(ODDITIES))
def test_audit_lets_the_oddity_pass(writable: duckdb.DuckDBPyConnection, name: str) -> None:
    assert writable.execute(ODDITIES[name]).fetchall(), "the oddity is no longer in the data"
    finding = run_audits(writable, [AUDITS[name]])[0]
    assert finding.is_passed or finding.severity == "warning"


def test_reviewed_oddities_are_the_only_ones(broken: duckdb.DuckDBPyConnection) -> None:
    broken.execute("delete from meta.known_issue")
    for name in ("a_municipality_that_reverses", "scores_in_a_plausible_range"):
        assert run_audits(broken, [AUDITS[name]])[0].blocks


def test_header_says_why() -> None:
    for audit in AUDITS.values():
        assert len(audit.why) > 20 and len(audit.reason) > 20, audit.check_id
