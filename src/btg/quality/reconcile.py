"""Reconciliation: the aggregated figure of a larger region against the published one.

Where a source has both, the route that is not used checks the one that is (method, par. 3). A
difference beyond the catalogue's tolerance is a finding, never a correction. Twente is exactly its
14 municipalities: a published figure of it that they do not give blocks.
"""

from typing import Any

from btg import warehouse
from btg.quality.findings import Finding, Severity

INDICATORS = """
select
    cell.indicator_id,
    region.region_level,
    any_value(indicator.reconciliation_tolerance) as tolerance,
    count(*) as n_compared,
    count(*) filter (where abs(cell.value - aggregate.value) > indicator.reconciliation_tolerance)
        as n_failed,
    arg_max(cell.region_code || ' ' || cell.year, abs(cell.value - aggregate.value)) as worst,
    max(abs(cell.value - aggregate.value)) as difference
from intermediate.cell as cell
inner join intermediate.aggregate as aggregate
    on cell.indicator_id = aggregate.indicator_id
    and cell.region_code = aggregate.region_code
    and cell.year = aggregate.year
inner join catalogue.region as region on cell.region_code = region.region_code
inner join catalogue.indicator as indicator on cell.indicator_id = indicator.indicator_id
where region.region_level <> 'gemeente' and cell.cell_status = 'observed' and cell.value is not null
    and indicator.reconciliation_tolerance is not null
group by cell.indicator_id, region.region_level
order by cell.indicator_id, region.region_level
"""

TWENTE = """
select
    cell.indicator_id,
    count(*) as n_compared,
    any_value(method.audit_twente_tolerance_share) as tolerance,
    count(*) filter (
        where abs(cell.value - aggregate.value)
            > method.audit_twente_tolerance_share * abs(cell.value)
    ) as n_failed,
    arg_max(cell.region_code || ' ' || cell.year, abs(cell.value - aggregate.value)) as worst,
    max(abs(cell.value - aggregate.value)) as difference
from intermediate.cell as cell
inner join intermediate.aggregate as aggregate
    on cell.indicator_id = aggregate.indicator_id
    and cell.region_code = aggregate.region_code
    and cell.year = aggregate.year
inner join catalogue.region as region on cell.region_code = region.region_code
cross join catalogue.method as method
where region.region_level = 'corop' and cell.cell_status = 'observed'
    -- the COROP area that is exactly the 14
    and exists (
        select 1 from staging.membership as membership
        inner join catalogue.region as member
            on membership.municipality_code = member.region_code
        where membership.region_code = region.region_code and member.is_twente
    )
group by cell.indicator_id
order by cell.indicator_id
"""

SUPPORT = """
with pair as (
    select
        support.series_id,
        observation.region_code,
        observation.year,
        min(observation.value) as lowest,
        max(observation.value) as highest,
        any_value(support.tolerance_share) as tolerance
    from staging.observation as observation
    inner join catalogue.support as support
        on observation.table_id = support.table_id and observation.measure_id = support.measure_id
    where observation.value is not null
    group by support.series_id, observation.region_code, observation.year
    having count(*) > 1
)

select
    pair.series_id,
    any_value(pair.tolerance) as tolerance,
    count(*) as n_compared,
    count(*) filter (where pair.highest > pair.lowest * (1 + pair.tolerance)) as n_failed,
    arg_max(pair.region_code || ' ' || pair.year, pair.highest - pair.lowest) as worst,
    max(pair.highest - pair.lowest) as difference
from pair
group by pair.series_id
order by pair.series_id
"""

POPULATION = """
with municipal as (
    select membership.region_code, support.year, sum(support.value) as summed
    from intermediate.support as support
    inner join staging.membership as membership
        on support.region_code = membership.municipality_code
    cross join catalogue.method as method
    where support.series_id = method.population_base
    group by membership.region_code, support.year
    having count(*) = any_value((
        select count(*) from staging.membership as everyone
        where everyone.region_code = membership.region_code
    ))
)

select
    region.region_level,
    count(*) as n_compared,
    count(*) filter (where abs(municipal.summed / support.value - 1) > 0.001) as n_failed,
    arg_max(support.region_code || ' ' || support.year, abs(municipal.summed / support.value - 1))
        as worst,
    max(abs(municipal.summed - support.value)) as difference
from intermediate.support as support
inner join municipal
    on support.region_code = municipal.region_code and support.year = municipal.year
inner join catalogue.region as region on support.region_code = region.region_code
cross join catalogue.method as method
where support.series_id = method.population_base and region.region_level <> 'gemeente'
    -- earlier figures are on the provincial and COROP borders of their own year; Twente's stand
    and (support.year >= method.base_year or exists (
        select 1 from staging.membership as within
        inner join catalogue.region as member on within.municipality_code = member.region_code
        where within.region_code = support.region_code and member.is_twente
            and region.region_level <> 'land'
    ))
group by region.region_level
order by region.region_level
"""


def reconcile(con: warehouse.Connection) -> list[Finding]:
    """Return a finding per indicator and level with both figures, and per support series."""
    findings = [
        _finding(f"reconcile.{indicator}.{level}", n_failed, worst, difference,
                 f"{n} published figures of {level} against the aggregate, tolerance {tolerance:g}")
        for indicator, level, tolerance, n, n_failed, worst, difference in warehouse.rows(
            con, INDICATORS
        )
    ]  # fmt: skip
    findings += [
        _finding(f"reconcile.{indicator}.twente", n_failed, worst, difference,
                 f"{n} published figures of Twente against its 14, tolerance {tolerance:.0%}",
                 "critical")
        for indicator, n, tolerance, n_failed, worst, difference in warehouse.rows(con, TWENTE)
    ]  # fmt: skip
    findings += [
        _finding(f"reconcile.{series}", n_failed, worst, difference,
                 f"{n} figures in two tables, tolerance {tolerance:.1%}")
        for series, tolerance, n, n_failed, worst, difference in warehouse.rows(con, SUPPORT)
    ]  # fmt: skip
    findings += [
        _finding(f"reconcile.population.{level}", n_failed, worst, difference,
                 f"{n} published populations of {level} against the sum of municipalities, "
                 "tolerance 0.1%")
        for level, n, n_failed, worst, difference in warehouse.rows(con, POPULATION)
    ]  # fmt: skip
    return findings


def _finding(
    check_id: str,
    n_failed: int,
    worst: Any,
    difference: float,
    text: str,
    severity: Severity = "warning",
) -> Finding:
    return Finding(
        gate="gate2",
        check_id=check_id,
        severity=severity,
        is_passed=n_failed == 0,
        table_name="marts.indicator_score",
        n_failed=n_failed,
        example=f"{worst}: difference {difference:.4g}",
        message=text,
    )
