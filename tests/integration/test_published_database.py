"""What analysts rely on: tables, columns, codes and figures of the published file."""

import re
from collections.abc import Iterator

import polars as pl
import pytest

from btg import publish, warehouse
from btg.catalogue.loader import Catalogue
from btg.settings import Settings

CONTRACT = {
    "marts.btg_index": "region_code region_name region_level is_twente year score null_reason "
    "rank_nl rank_common_set n_ranked percentile rank_p05 rank_median rank_p95 score_p05 score_p95 "
    "coverage_share provisional_share status_unknown_share imputed_share n_dimensions "
    "method_version",
    "marts.dimension_score": "region_code year dimension_id score null_reason coverage_share "
    "provisional_share status_unknown_share imputed_share",
    "marts.indicator_score": "region_code year indicator_id dimension_id value unit score "
    "cell_status missing_reason obs_first_year obs_last_year route weight_covered_share "
    "weight_proxy publication_status source_period snapshot_id",
    "marts.change_since_2019": "region_code year level item_id base_score score change "
    "matched_change composition_effect n_dimensions_matched matched_weight_share change_vs_nl "
    "standard_error error_known_share share_improved direction direction_reason",
    "marts.change_contribution": "region_code year indicator_id dimension_id contribution",
    "marts.sensitivity": "year output factor first_order_share total_share n_variants n_excluded",
    "meta.indicator": "indicator_id dimension_id label_nl label_en unit polarity transform weight "
    "in_index is_relative error_model source_id table_id topic_path",
    "meta.dimension": "dimension_id position label_nl label_en question_nl weight",
    "meta.region": "region_code region_name region_level is_twente population_base",
    "meta.baseline": "method_version indicator_id transform m s clip_lo clip_hi n_units input_hash",
    "meta.method": "method_version base_year first_index_year last_index_year",
    "meta.revision": "source_id table_id region_code period topic_id old_value new_value "
    "old_status new_status old_snapshot_id new_snapshot_id run_id cause",
    "meta.check_result": "run_id gate check_id severity is_passed table_name n_failed example "
    "message",
    "meta.source": "source_id table_id",
    "meta.snapshot": "snapshot_id",
    "meta.run": "run_id",
    "meta.data_dictionary": "table_name column_name",
    "meta.lineage": "table_name",
    "meta.published_survey": "edition_year region_code grade",
}
"""Names that reports, analysts and checks use: a table or column may be added, none may go."""
TWENTE = {
    "GM0141": "Almelo",
    "GM0147": "Borne",
    "GM0153": "Enschede",
    "GM0158": "Haaksbergen",
    "GM0163": "Hellendoorn",
    "GM0164": "Hengelo",
    "GM0168": "Losser",
    "GM0173": "Oldenzaal",
    "GM0183": "Tubbergen",
    "GM0189": "Wierden",
    "GM1700": "Twenterand",
    "GM1735": "Hof van Twente",
    "GM1742": "Rijssen-Holten",
    "GM1774": "Dinkelland",
}
REASONS = {
    "null_in_source",
    "not_surveyed",
    "not_yet_published",
    "before_series",
    "break",
    "beyond_carry",
    "merged_median",
    "no_base",
    "below_coverage",
    "outside_index_years",
}
ENDINGS = {
    "_code": {"VARCHAR"},
    "_id": {"VARCHAR"},
    "_name": {"VARCHAR"},
    "_date": {"VARCHAR", "DATE"},
    "_year": {"INTEGER", "BIGINT"},
    "_at": {"TIMESTAMP"},
    "_share": {"DOUBLE"},
    "_pct": {"DOUBLE"},
}
"""Endings of column names and the types that they promise."""


@pytest.fixture(scope="module")
def con(published: Settings) -> Iterator[warehouse.Connection]:
    connection = warehouse.open_published(published.database)
    yield connection
    connection.close()


def rows(con: warehouse.Connection, sql: str) -> list[tuple]:  # type: ignore[type-arg]
    return warehouse.rows(con, sql)


def values(con: warehouse.Connection, sql: str) -> set[object]:
    return {row[0] for row in rows(con, sql)}


# ---- the file


def test_the_file_can_be_read_by_all_and_written_by_none(published: Settings) -> None:
    assert published.database.stat().st_mode & 0o777 == 0o444


def test_nothing_unfinished_lies_beside_the_file(published: Settings) -> None:
    found = {path.name for path in published.marts_dir.iterdir()}
    assert not {name for name in found if name.endswith((".wal", ".tmp", ".part"))}
    assert [p.name for p in (published.marts_dir / ".build").glob("*")] == []


def test_the_storage_version_is_the_one_that_old_clients_read(con: warehouse.Connection) -> None:
    [(tags,)] = rows(con, "select tags from duckdb_databases() where database_name = 'btg'")
    assert str(tags["storage_version"]).rstrip("+") == warehouse.STORAGE_VERSION == "v1.2.0"


def test_the_parquet_copies_equal_the_marts(
    con: warehouse.Connection, published: Settings, catalogue: Catalogue
) -> None:
    folder = published.marts_dir / "parquet"
    marts = [name.split(".")[1] for name in catalogue.dictionary.tables if "marts." in name]
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{m}.parquet" for m in marts)
    for name in marts:
        copy, mart = pl.read_parquet(folder / f"{name}.parquet"), f"marts.{name}"
        keys = catalogue.dictionary.tables[mart].grain
        table = warehouse.frame(con, f"from {mart}").sort(keys)
        assert copy.columns == table.columns
        # in the build some codes are enumerations; the values are what counts
        same = copy.cast(dict(table.schema)).sort(keys)
        assert same.equals(table, null_equal=True), name


# ---- tables and columns


@pytest.mark.parametrize("table", CONTRACT)
def test_every_promised_table_has_its_promised_columns(
    con: warehouse.Connection, table: str
) -> None:
    schema, name = table.split(".")
    found = values(
        con,
        "select column_name from duckdb_columns() "
        f"where schema_name = '{schema}' and table_name = '{name}'",
    )
    assert set(CONTRACT[table].split()) - found == set()


def test_tables_stand_in_marts_and_meta_only_and_nothing_but_tables(
    con: warehouse.Connection,
) -> None:
    assert values(con, "select schema_name from duckdb_tables()") == {"marts", "meta"}
    assert rows(con, "select view_name from duckdb_views() where not internal") == []


def test_every_table_and_column_has_a_comment(con: warehouse.Connection) -> None:
    bare_tables = "select table_name from duckdb_tables() where trim(coalesce(comment, '')) = ''"
    bare_columns = (
        "select table_name, column_name from duckdb_columns() "
        "where schema_name in ('marts', 'meta') and trim(coalesce(comment, '')) = ''"
    )
    assert rows(con, bare_tables) == []
    assert rows(con, bare_columns) == []


def test_the_dictionary_lists_every_column_of_the_file_and_no_other(
    con: warehouse.Connection,
) -> None:
    listed = rows(
        con,
        "select table_name, column_name, position, data_type, description, is_nullable "
        "from meta.data_dictionary order by table_name, position",
    )
    there = rows(
        con,
        "select schema_name || '.' || table_name, column_name, column_index - 1, data_type, "
        "comment, is_nullable from duckdb_columns() where schema_name in ('marts', 'meta') "
        "order by 1, 3",
    )
    assert listed == there


def test_the_ending_of_a_name_promises_its_type(con: warehouse.Connection) -> None:
    columns = rows(
        con,
        "select table_name, column_name, data_type from duckdb_columns() "
        "where schema_name in ('marts', 'meta')",
    )
    wrong = [
        (table, name, kind)
        for table, name, kind in columns
        for ending, kinds in ENDINGS.items()
        if name.endswith(ending) and not name.startswith("is_") and kind not in kinds
        # the exit code of a run is a number of the shell, not a code of a classification
        if name != "exit_code"
    ]
    wrong += [
        (table, name, kind)
        for table, name, kind in columns
        if name.startswith(("is_", "has_")) and kind != "BOOLEAN"
    ]
    assert wrong == []


def test_a_share_lies_between_0_and_1(con: warehouse.Connection) -> None:
    columns = rows(
        con,
        "select schema_name || '.' || table_name, column_name from duckdb_columns() "
        "where schema_name in ('marts', 'meta') and column_name like '%\\_share' escape '\\'",
    )
    assert len(columns) > 10
    for table, column in columns:
        outside = f"select count(*) from {table} where {column} < -1e-6 or {column} > 1 + 1e-6"
        assert rows(con, outside) == [(0,)], (table, column)


def test_the_grain_of_every_table_is_what_its_description_says(
    con: warehouse.Connection, catalogue: Catalogue
) -> None:
    for table, entry in catalogue.dictionary.tables.items():
        keys = ", ".join(f'"{column}"' for column in entry.grain)
        double = f"select {keys} from {table} group by {keys} having count(*) > 1"
        assert rows(con, double) == [], table


def test_a_value_that_a_column_allows_is_all_that_it_holds(
    con: warehouse.Connection, catalogue: Catalogue
) -> None:
    for table, entry in catalogue.dictionary.tables.items():
        for column in entry.columns:
            allowed = catalogue.dictionary.columns[column].allowed
            if allowed is not None:
                found = f'select distinct "{column}" from {table} where "{column}" is not null'
                assert values(con, found) <= set(allowed), (table, column)


def test_no_figure_is_not_a_number_or_without_end(con: warehouse.Connection) -> None:
    columns = rows(
        con,
        "select schema_name || '.' || table_name, column_name from duckdb_columns() "
        "where schema_name in ('marts', 'meta') and data_type = 'DOUBLE'",
    )
    for table, column in columns:
        odd = f'select count(*) from {table} where isnan("{column}") or isinf("{column}")'
        assert rows(con, odd) == [(0,)], (table, column)


# ---- regions and years


def test_region_codes_are_trimmed_and_of_a_known_form(con: warehouse.Connection) -> None:
    tables = values(
        con,
        "select schema_name || '.' || table_name from duckdb_columns() "
        "where column_name = 'region_code'",
    )
    form = re.compile(r"(GM\d{4}|CR\d{2}|PV\d{2}|NL01)")
    for table in tables:
        codes = values(con, f"select distinct region_code from {table}")
        assert all(form.fullmatch(str(code)) for code in codes), table


def test_every_table_by_region_has_regions_of_meta_region_only(con: warehouse.Connection) -> None:
    for table in ("btg_index", "dimension_score", "indicator_score", "change_since_2019"):
        strange = (
            f"select distinct region_code from marts.{table} "
            "where region_code not in (select region_code from meta.region)"
        )
        lacking = (
            "select region_code from meta.region "
            f"where region_code not in (select region_code from marts.{table})"
        )
        assert rows(con, strange) == [] == rows(con, lacking)


def test_regions_are_all_municipalities_corop_areas_provinces_and_the_country(
    con: warehouse.Connection,
) -> None:
    counts = dict(rows(con, "select region_level, count(*) from meta.region group by 1"))
    assert counts == {"gemeente": 342, "corop": 40, "provincie": 12, "land": 1}


@pytest.mark.parametrize("table", ["meta.region", "marts.btg_index"])
def test_is_twente_is_true_for_the_14_and_for_nothing_else(
    con: warehouse.Connection, table: str
) -> None:
    found = rows(con, f"select distinct region_code, region_name from {table} where is_twente")
    assert {code for code, _ in found} == set(TWENTE)
    assert all(str(name).startswith(TWENTE[code]) for code, name in found)


@pytest.mark.parametrize(
    ("code", "inhabitants"), [("GM0153", 158_986), ("CR12", 629_284), ("NL01", 17_282_163)]
)
def test_the_inhabitants_of_1_january_2019(
    con: warehouse.Connection, code: str, inhabitants: int
) -> None:
    sql = f"select population_base from meta.region where region_code = '{code}'"
    assert rows(con, sql) == [(inhabitants,)]


def test_larger_regions_have_the_inhabitants_of_their_municipalities(
    con: warehouse.Connection,
) -> None:
    sums = dict(rows(con, "select region_level, sum(population_base) from meta.region group by 1"))
    assert len(set(sums.values())) == 1
    twente = "select sum(population_base) from meta.region where is_twente"
    assert rows(con, twente) == [(629_284,)]


def test_2019_is_in_every_series(con: warehouse.Connection) -> None:
    tables = values(
        con,
        "select schema_name || '.' || table_name from duckdb_columns() "
        "where column_name = 'year' and schema_name = 'marts'",
    )
    # contributions too: all zero in 2019, but the base is there to be drawn
    for table in tables:
        assert rows(con, f"select count(*) > 0 from {table} where year = 2019") == [(True,)], table


def test_every_region_year_and_item_has_a_row(con: warehouse.Connection) -> None:
    [(regions, years, indicators)] = rows(
        con,
        "select (select count(*) from meta.region), "
        "(select count(distinct year) from marts.btg_index), "
        "(select count(*) from meta.indicator)",
    )
    expected = {
        "btg_index": 1,
        "dimension_score": 11,
        "indicator_score": indicators,
        "change_since_2019": 1 + 11 + indicators,
    }
    for table, items in expected.items():
        found = rows(con, f"select count(*) from marts.{table}")
        assert found == [(regions * years * items,)], table


# ---- change


def test_the_change_table_has_one_row_per_region_year_and_item(con: warehouse.Connection) -> None:
    counts = rows(
        con,
        "select region_code, year, count(*), count(distinct (level, item_id)) "
        "from marts.change_since_2019 group by 1, 2",
    )
    [(items,)] = rows(con, "select 1 + 11 + count(*) from meta.indicator")
    assert {(n, distinct) for _, _, n, distinct in counts} == {(items, items)}
    index = "select distinct item_id from marts.change_since_2019 where level = 'index'"
    assert rows(con, index) == [("index",)]


CHANGED_BASE = (
    "select change.region_code, change.level, change.item_id, change.change "
    "from marts.change_since_2019 as change "
    "left join meta.indicator as indicator on change.item_id = indicator.indicator_id "
    "where change.year = 2019 and change.base_score is not null "
    "and change.change is distinct from 0"
)


@pytest.mark.parametrize("is_relative", [False, True])
def test_the_change_in_2019_is_0_where_there_is_a_base(
    con: warehouse.Connection, is_relative: bool
) -> None:
    sql = f"{CHANGED_BASE} and coalesce(indicator.is_relative, false) = {is_relative}"
    assert rows(con, sql) == []


def test_a_relative_indicator_has_no_change_in_any_other_year(con: warehouse.Connection) -> None:
    sql = (
        "select count(change.change) from marts.change_since_2019 as change "
        "inner join meta.indicator as indicator on change.item_id = indicator.indicator_id "
        "where indicator.is_relative and change.year <> 2019"
    )
    assert rows(con, sql) == [(0,)]


def test_where_there_is_no_change_the_direction_is_unknown_with_a_reason(
    con: warehouse.Connection,
) -> None:
    sql = (
        "select count(*) from marts.change_since_2019 "
        "where (matched_change is null) <> (direction = 'unknown') "
        "or trim(coalesce(direction_reason, '')) = ''"
    )
    assert rows(con, sql) == [(0,)]


def test_change_and_matched_change_differ_by_the_composition_effect(
    con: warehouse.Connection,
) -> None:
    sql = (
        "select count(*) from marts.change_since_2019 "
        "where abs(change - matched_change - composition_effect) > 1e-9"
    )
    assert rows(con, sql) == [(0,)]


def test_the_netherlands_does_not_change_against_itself(con: warehouse.Connection) -> None:
    sql = "select max(abs(change_vs_nl)) from marts.change_since_2019 where region_code = 'NL01'"
    [(largest,)] = rows(con, sql)
    assert largest < 1e-9


def test_contributions_stand_where_the_index_has_a_matched_change_and_nowhere_else(
    con: warehouse.Connection,
) -> None:
    sql = (
        "select region_code, year from marts.change_since_2019 "
        "where level = 'index' and matched_change is not null"
    )
    with_change = set(rows(con, sql))
    found = set(rows(con, "select distinct region_code, year from marts.change_contribution"))
    assert found == with_change != set()


# ---- scores


@pytest.mark.parametrize("code", TWENTE)
def test_each_of_the_14_has_all_eleven_dimensions_in_the_base_year_and_the_last_index_year(
    con: warehouse.Connection, code: str
) -> None:
    found = rows(
        con,
        "select year, count(score) from marts.dimension_score cross join meta.method "
        f"where region_code = '{code}' and year in (base_year, last_index_year) group by year",
    )
    assert len(found) == 2
    assert {number for _, number in found} == {11}


def test_the_netherlands_is_100_in_2019_on_every_level(con: warehouse.Connection) -> None:
    for table in ("btg_index", "dimension_score"):
        sql = f"select score from marts.{table} where region_code = 'NL01' and year = 2019"
        assert all(abs(score - 100) < 1e-9 for (score,) in rows(con, sql))
    sql = (
        "select score.score from marts.indicator_score as score "
        "inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id "
        "where score.region_code = 'NL01' and score.year = 2019 and indicator.in_index"
    )
    assert all(abs(score - 100) < 1e-9 for (score,) in rows(con, sql))


def test_a_missing_score_or_value_has_a_reason_and_a_present_one_has_none(
    con: warehouse.Connection,
) -> None:
    wrong = [
        "select count(*) from marts.indicator_score "
        "where (score is null) <> (missing_reason is not null) "
        "or (value is null) <> (cell_status = 'missing') or (value is null and score is not null)",
        "select count(*) from marts.btg_index where (score is null) <> (null_reason is not null)",
        "select count(*) from marts.dimension_score "
        "where (score is null) <> (null_reason is not null)",
    ]
    for sql in wrong:
        assert rows(con, sql) == [(0,)], sql
    assert values(con, "select distinct missing_reason from marts.indicator_score") <= REASONS | {
        None
    }


def test_nothing_is_known_of_the_origin_of_a_missing_value(con: warehouse.Connection) -> None:
    sql = (
        "select count(*) from marts.indicator_score where (value is null) <> "
        "(obs_first_year is null) or (value is null) <> (obs_last_year is null) "
        "or (value is null) <> (publication_status is null) or (value is null) <> "
        "(source_period is null) or (value is null) <> (snapshot_id is null)"
    )
    assert rows(con, sql) == [(0,)]


def test_an_observed_municipal_value_is_of_its_own_year_and_others_say_of_which(
    con: warehouse.Connection,
) -> None:
    wrong = {
        "observed": "obs_first_year <> year or obs_last_year <> year",
        "interpolated": "not (obs_first_year < year and year < obs_last_year)",
        "carried": "obs_last_year >= year or year - obs_last_year > 2",
        "substituted": "year <> 2019 or abs(obs_first_year - year) <> 1",
    }
    for status, condition in wrong.items():
        sql = (
            "select count(*) from marts.indicator_score where region_code like 'GM%' "
            f"and cell_status = '{status}' and ({condition})"
        )
        assert rows(con, sql) == [(0,)], status


def test_no_score_rests_on_a_zero_that_stood_for_missing(con: warehouse.Connection) -> None:
    sql = (
        "select score.indicator_id, score.region_code, score.year "
        "from marts.indicator_score as score "
        "inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id "
        "where indicator.source_id = 'rmbw' and score.value = 0"
    )
    assert rows(con, sql) == []
    # a true zero is a count of nothing in a register, and nothing else
    sql = (
        "select distinct indicator.indicator_id from marts.indicator_score as score "
        "inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id "
        "where score.value = 0"
    )
    assert values(con, sql) <= {"woninginbraak", "mishandeling", "vernieling"}


def test_losser_and_tubbergen_are_not_surveyed_rather_than_zero(con: warehouse.Connection) -> None:
    sql = (
        "select distinct value, score, cell_status, missing_reason from marts.indicator_score "
        "where region_code in ('GM0168', 'GM0183') and indicator_id = 'tevreden_leven' "
        "and year between 2013 and 2022"
    )
    assert rows(con, sql) == [(None, None, "missing", "not_surveyed")]


def test_no_nominal_euros_are_in_the_index(con: warehouse.Connection) -> None:
    units = dict(rows(con, "select indicator_id, unit from meta.indicator where in_index"))
    nominal = {
        name: unit
        for name, unit in units.items()
        if "euro" in unit.lower() and not re.search(r"prijzen \d{4}", unit)
    }
    assert nominal == {}
    context = "select in_index from meta.indicator where indicator_id = 'schuld_gemiddeld'"
    assert rows(con, context) == [(False,)]


def test_life_expectancy_is_context_and_has_no_score(con: warehouse.Connection) -> None:
    entry = "select in_index, weight from meta.indicator where indicator_id = 'levensverwachting'"
    assert rows(con, entry) == [(False, 0.0)]
    sql = (
        "select count(value) > 0, count(score) from marts.indicator_score "
        "where indicator_id = 'levensverwachting'"
    )
    assert rows(con, sql) == [(True, 0)]
    sql = "select count(*) from meta.baseline where indicator_id = 'levensverwachting'"
    assert rows(con, sql) == [(0,)]


def test_a_context_indicator_adds_nothing_to_any_change(con: warehouse.Connection) -> None:
    sql = (
        "select count(*) from marts.change_contribution as contribution "
        "inner join meta.indicator as indicator "
        "on contribution.indicator_id = indicator.indicator_id where not indicator.in_index"
    )
    assert rows(con, sql) == [(0,)]


def test_each_indicator_has_one_route_per_region_level(con: warehouse.Connection) -> None:
    sql = (
        "select score.indicator_id, region.region_level, count(distinct score.route) "
        "from marts.indicator_score as score "
        "inner join meta.region as region on score.region_code = region.region_code "
        "group by 1, 2 having count(distinct score.route) <> 1"
    )
    assert rows(con, sql) == []
    municipal = "select distinct route from marts.indicator_score where region_code like 'GM%'"
    assert rows(con, municipal) == [("published",)]


def test_an_aggregate_rests_on_80_percent_of_the_inhabitants(con: warehouse.Connection) -> None:
    sql = (
        "select min(weight_covered_share) from marts.indicator_score "
        "where route = 'aggregated' and value is not null"
    )
    [(least,)] = rows(con, sql)
    assert least >= 0.8


def test_twente_is_the_weighted_mean_of_the_14(con: warehouse.Connection) -> None:
    """Turnout carries its own denominator: votes over eligible voters, of all 14 together."""
    [(published,)] = rows(
        con,
        "select value from marts.indicator_score where region_code = 'CR12' and year = 2021 "
        "and indicator_id = 'opkomst_tweede_kamer'",
    )
    lowest, highest = rows(
        con,
        "select min(value), max(value) from marts.indicator_score where year = 2021 "
        "and indicator_id = 'opkomst_tweede_kamer' and region_code in "
        "(select region_code from meta.region where is_twente)",
    )[0]
    assert lowest < published < highest


def test_ranks_run_from_1_and_ties_share_the_best_place(con: warehouse.Connection) -> None:
    frame = warehouse.frame(
        con,
        "select year, score, rank_nl, n_ranked, region_level from marts.btg_index "
        "where rank_nl is not null",
    )
    assert set(frame["region_level"].to_list()) == {"gemeente"}
    for (_,), group in frame.group_by("year"):
        expected = group["score"].rank("min", descending=True)
        assert group["rank_nl"].to_list() == expected.to_list()
        assert set(group["n_ranked"].to_list()) == {group.height}


# ---- index years


def test_the_index_years_follow_the_rule(con: warehouse.Connection) -> None:
    """Half of the national weight near observed, 90 % with an index, 90 % with every dimension."""
    near = dict(
        rows(
            con,
            "select score.year, sum(dimension.weight * indicator.weight) filter ("
            "where score.score is not null and score.cell_status in ('observed', 'interpolated')) "
            "from marts.indicator_score as score "
            "inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id "
            "inner join meta.dimension as dimension "
            "on indicator.dimension_id = dimension.dimension_id "
            "where score.region_code = 'NL01' and indicator.in_index group by 1",
        )
    )
    dimensions = warehouse.frame(
        con,
        "select region_code, year, dimension_id, score from marts.dimension_score "
        "where region_code like 'GM%'",
    ).with_columns(pl.col("score").is_not_null().alias("has"))
    n = dimensions["region_code"].n_unique()
    with_index = (
        dimensions.group_by("region_code", "year")
        .agg(pl.col("has").sum())
        .filter(pl.col("has") >= 9)
        .group_by("year")
        .len()
    )
    with_index_by_year = dict(with_index.iter_rows())
    least = (
        dimensions.group_by("year", "dimension_id")
        .agg(pl.col("has").sum())
        .group_by("year")
        .agg(pl.col("has").min())
    )
    fulfils = {
        year
        for year, number in least.iter_rows()
        if number >= 0.9 * n
        and with_index_by_year.get(year, 0) >= 0.9 * n
        and (near[year] or 0) >= 0.5 - 1e-9
    }
    assert values(con, "select year from meta.index_year where fulfils_rule") == fulfils
    assert {2019, 2022} <= fulfils


def test_outside_the_index_years_there_is_no_index_but_there_are_scores(
    con: warehouse.Connection,
) -> None:
    [(first, last)] = rows(con, "select first_index_year, last_index_year from meta.method")
    assert first <= 2019 <= last
    inside = values(con, "select distinct year from marts.btg_index where score is not null")
    assert inside == set(range(first, last + 1))
    sql = (
        "select distinct null_reason from marts.btg_index cross join meta.method "
        "where year not between first_index_year and last_index_year"
    )
    assert rows(con, sql) == [("outside_index_years",)]
    sql = (
        "select count(score) > 0 from marts.dimension_score cross join meta.method "
        "where year > last_index_year"
    )
    assert rows(con, sql) == [(True,)]


# ---- where it comes from


def test_every_figure_names_a_snapshot_that_is_listed(con: warehouse.Connection) -> None:
    used = values(con, "select distinct snapshot_id from marts.indicator_score") - {None}
    assert used <= values(con, "select snapshot_id from meta.snapshot")


def test_every_table_in_use_is_listed_with_licence_and_citation(
    con: warehouse.Connection, catalogue: Catalogue
) -> None:
    found = rows(con, "select table_id, licence, attribution from meta.source")
    assert {table for table, _, _ in found} == {t.id for t in catalogue.used_tables()}
    assert all(licence and attribution for _, licence, attribution in found)


def test_the_file_holds_the_checks_that_let_it_pass(con: warehouse.Connection) -> None:
    sql = (
        "select gate, count(*), count(*) filter (where severity = 'critical' and not is_passed) "
        "from meta.check_result group by 1"
    )
    found = {gate: (number, failed) for gate, number, failed in rows(con, sql)}
    assert set(found) == {"gate1", "gate2"}
    assert all(number > 10 and failed == 0 for number, failed in found.values())
    assert values(con, "select distinct run_id from meta.check_result") == values(
        con, "select run_id from meta.run"
    )


def test_the_survey_stands_beside_the_index_and_2019_has_none(con: warehouse.Connection) -> None:
    years = values(con, "select distinct edition_year from meta.published_survey")
    assert years == {2022, 2023, 2025}


def test_the_hash_of_the_content_is_that_of_an_untouched_file(published: Settings) -> None:
    once, again = (publish.content_hashes(published.database) for _ in range(2))
    assert once == again
    assert set(once) >= set(CONTRACT)
