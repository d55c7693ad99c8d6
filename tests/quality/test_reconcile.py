"""Published figures of larger regions against the aggregate of their municipalities."""

from collections.abc import Iterator

import duckdb
import pytest

from btg import warehouse
from btg.quality.reconcile import reconcile


@pytest.fixture
def small() -> Iterator[duckdb.DuckDBPyConnection]:
    """Twente with two members, one indicator and the population, all in agreement."""
    con = warehouse.open_build()
    con.execute(
        """
        create schema intermediate; create schema catalogue; create schema staging;
        create table catalogue.method as select 2019 as base_year, 'inwoners' as population_base,
            0.1 as audit_twente_tolerance_share;
        create table catalogue.region as select * from (values
            ('GM0153', 'gemeente', true), ('GM0164', 'gemeente', true), ('CR12', 'corop', false)
        ) as t(region_code, region_level, is_twente);
        create table staging.membership as select * from (values
            ('CR12', 'GM0153'), ('CR12', 'GM0164')) as t(region_code, municipality_code);
        create table catalogue.indicator as select 'afstand' as indicator_id,
            0.2 as reconciliation_tolerance;
        create table intermediate.cell as select 'afstand' as indicator_id,
            'CR12' as region_code, 2021 as year, 'observed' as cell_status, 1.6 as value;
        create table intermediate.aggregate as select 'afstand' as indicator_id,
            'CR12' as region_code, 2021 as year, 1.64 as value;
        create table intermediate.support as select * from (values
            ('inwoners', 'GM0153', 2021, 159000.0), ('inwoners', 'GM0164', 2021, 81000.0),
            ('inwoners', 'CR12', 2021, 240000.0)) as t(series_id, region_code, year, value);
        create table catalogue.support as select * from (values
            ('inwoners', '70072ned', 'inwoners', 0.001), ('inwoners', '03759ned', 'inwoners', 0.001)
        ) as t(series_id, table_id, measure_id, tolerance_share);
        create table staging.observation as select * from (values
            ('70072ned', 'inwoners', 'GM0153', 2021, 159000.0),
            ('03759ned', 'inwoners', 'GM0153', 2021, 159000.0)
        ) as t(table_id, measure_id, region_code, year, value);
        """
    )
    yield con
    con.close()


def failed(con: duckdb.DuckDBPyConnection) -> dict[str, bool]:
    return {f.check_id: f.blocks for f in reconcile(con) if not f.is_passed}


def test_rounding_to_tenths_of_a_kilometre_passes(small: duckdb.DuckDBPyConnection) -> None:
    assert failed(small) == {}
    assert {f.check_id for f in reconcile(small)} == {
        "reconcile.afstand.corop",
        "reconcile.afstand.twente",
        "reconcile.inwoners",
        "reconcile.population.corop",
    }


def test_twente_that_is_not_its_14_blocks(small: duckdb.DuckDBPyConnection) -> None:
    small.execute("update intermediate.aggregate set value = 2.4")
    assert failed(small) == {"reconcile.afstand.corop": False, "reconcile.afstand.twente": True}


def test_two_tables_with_another_population_warn(small: duckdb.DuckDBPyConnection) -> None:
    small.execute("update staging.observation set value = 1000 where table_id = '03759ned'")
    assert failed(small) == {"reconcile.inwoners": False}


def test_population_that_does_not_add_up_warns(small: duckdb.DuckDBPyConnection) -> None:
    small.execute("update intermediate.support set value = 8100 where region_code = 'GM0164'")
    assert failed(small) == {"reconcile.population.corop": False}
