import math

import numpy as np
import polars as pl
import pytest
from tests.uncertainty.conftest import Built

from btg import warehouse
from btg.index.arrays import Labels
from btg.index.change import matched_change, matched_set
from btg.index.diagnostics import correlations, correlations_with_index, cronbach_alpha

TOLERANCE = 1e-9


def _base_scores(built: Built) -> np.ndarray:
    return built.grid.scores[built.grid.is_municipality, built.grid.base]


def test_correlations_are_those_of_the_engine(built: Built) -> None:
    names = built.grid.indicator_ids
    engine = correlations(_base_scores(built), labels=Labels(indicators=names))
    rows = warehouse.rows(
        built.con,
        "select item_a, item_b, correlation, is_same_dimension from marts.correlation "
        "where level = 'indicator' and year = 2019",
    )
    assert len(rows) == len(names) * (len(names) - 1) // 2
    of = dict(built.grid.indicator.select("indicator_id", "dimension_id").iter_rows())
    for one, other, found, is_same in rows:
        assert found == pytest.approx(engine[names.index(one), names.index(other)], abs=TOLERANCE)
        assert is_same == (of[one] == of[other])


def test_flags_follow_the_limits_of_the_method(built: Built) -> None:
    rows = warehouse.frame(built.con, "select correlation, correlation_flag from marts.correlation")
    limit = built.grid.method
    for correlation, flag in rows.iter_rows():
        if correlation >= limit["correlation_redundant"]:
            assert flag == "redundant"
        elif correlation <= limit["correlation_negative"]:
            assert flag == "negative"
        else:
            assert flag == ("weak" if abs(correlation) < limit["correlation_weak"] else "ordinary")


def test_alpha_is_that_of_the_engine(built: Built) -> None:
    rows = dict(
        warehouse.rows(
            built.con, "select dimension_id, alpha from marts.dimension_reliability where year=2019"
        )
    )
    scores = _base_scores(built)
    for d, name in enumerate(built.grid.dimension["dimension_id"]):
        expected = cronbach_alpha(scores[:, built.grid.structure.members(d)])
        assert rows[name] == pytest.approx(expected, abs=TOLERANCE)


def test_effective_weights_are_those_of_the_engine(built: Built) -> None:
    index = built.result.scores[0][built.grid.is_municipality]
    at_base = index[:, built.result.inputs.base]
    expected = correlations_with_index(_base_scores(built), at_base)
    rows = dict(
        warehouse.rows(
            built.con,
            "select item_id, correlation_with_index from marts.effective_weight "
            "where level = 'indicator' and year = 2019",
        )
    )
    for name, value in zip(built.grid.indicator_ids, expected, strict=True):
        assert rows[name] == pytest.approx(value, abs=TOLERANCE)


def test_nominal_weights_sum_to_one(built: Built) -> None:
    rows = warehouse.rows(
        built.con, "select sum(nominal_weight) from marts.effective_weight group by year, level"
    )
    assert len(rows) == 4
    assert all(math.isclose(total, 1.0, abs_tol=TOLERANCE) for (total,) in rows)


def test_a_trend_rests_on_six_observed_years(built: Built) -> None:
    frame = warehouse.frame(built.con, "select * from marts.indicator_trend")
    short = pl.col("n_points") < 6
    assert (frame.filter(short)["trend"] == "too_few_points").all()
    assert frame.filter(short)["slope"].null_count() == frame.filter(short).height
    tested = frame.filter(~short)
    assert tested["p_value"].null_count() == 0
    significant = tested["p_value"] < 0.05
    assert (tested["trend"].is_in(["up", "down"]) == significant).all()


def test_a_trend_is_up_where_the_region_gets_better(built: Built) -> None:
    """Falling burglary is an upward trend; the slope keeps the sign of the figures."""
    rows = warehouse.rows(
        built.con,
        "select slope, trend from marts.indicator_trend where region_code = 'NL01' "
        "and indicator_id = 'woninginbraak' and year = 2022",
    )
    slope, trend = rows[0]
    assert slope < 0
    assert trend == "up"


def test_against_another_base_the_rule_of_matching_is_the_same(built: Built) -> None:
    grid = built.grid
    matched = matched_set(
        grid.scores,
        grid.obs_first_year,
        grid.obs_last_year,
        years=grid.years,
        base_year=2022,
        excluded=grid.indicator["is_relative"].to_numpy(),
    )
    base = grid.years.index(2022)
    expected = matched_change(grid.scores, matched, grid.structure, base=base).index
    rows = warehouse.rows(
        built.con,
        "select region_code, year, matched_change from marts.change_alternative_base "
        "where base_years = '2022' and level = 'index'",
    )
    assert {year for _, year, _ in rows} == {2019, 2020, 2021, 2022}
    for region, year, found in rows:
        place = grid.region_codes.index(str(region)), grid.years.index(year)
        assert found == pytest.approx(expected[place], abs=TOLERANCE)


def test_every_municipality_has_ten_peers_by_criteria_that_are_no_outcome(built: Built) -> None:
    rows = warehouse.rows(
        built.con,
        "select region_code, count(*), max(place), bool_and(peer_code <> region_code), "
        "bool_and(peer_code like 'GM%') from marts.peer group by region_code",
    )
    assert len(rows) == int(built.grid.is_municipality.sum())
    assert {row[1:] for row in rows} == {(10, 10, True, True)}
    criteria = warehouse.rows(
        built.con,
        "select count(*) from (select unnest(peer_criteria) as c from catalogue.method) as k "
        "inner join catalogue.indicator as i on k.c.measure = i.num_measure "
        'and k.c."table" = i.num_table where i.in_index and i.den_kind is null',
    )
    assert criteria == [(0,)]


def test_strengths_lie_in_the_better_half_and_weaknesses_in_the_worse(built: Built) -> None:
    rows = warehouse.rows(
        built.con,
        "select count(*) from marts.strength where level = 'dimension' and "
        "((standing = 'strength' and rank_nl > (n_ranked + 1) / 2.0) "
        "or (standing = 'weakness' and rank_nl < n_ranked / 2.0))",
    )
    assert rows == [(0,)]


def test_twente_is_compared_with_the_other_39_and_the_provinces(built: Built) -> None:
    rows = warehouse.rows(
        built.con,
        "select region_level, count(*), bool_or(region_code = 'CR12'), "
        "max(abs(twente_ahead)) filter (where region_code = 'CR12') "
        "from marts.region_comparison where item_id = 'index' and year = 2022 "
        "group by region_level order by region_level",
    )
    assert rows == [("corop", 40, True, 0.0), ("provincie", 12, False, None)]


def test_availability_counts_every_municipality(built: Built) -> None:
    rows = warehouse.rows(
        built.con,
        "select count(*) from marts.availability where n_municipalities <> 342 or "
        "abs(present_share - observed_share - interpolated_share - carried_share) > 1e-9",
    )
    assert rows == [(0,)]
