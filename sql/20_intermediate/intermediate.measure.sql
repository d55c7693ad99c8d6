-- Every series on present borders (method, par. 3): counts of merged municipalities summed, means
-- weighted with inhabitants, medians missing; a part without a value or a share makes it missing.
-- Larger regions pass as published.
-- grain: table_id, measure_id, region_code, year
with observed_year as (
    select distinct
        observation.source_id,
        observation.table_id,
        observation.measure_id,
        observation.year,
        coalesce(table_info.borders_year, observation.year) as borders_year,
        observation.source_period,
        observation.publication_status,
        observation.snapshot_id
    from staging.observation as observation
    inner join catalogue.table_info as table_info
        on observation.table_id = table_info.table_id
    cross join catalogue.method as method
    where observation.value is not null
        and observation.region_code like 'GM%'
        and observation.year >= method.observation_first_year
),

part as (
    select
        observed_year.*,
        measure.merge,
        successor.present_code,
        successor.share,
        observation.value,
        population.value as population
    from observed_year
    inner join catalogue.measure as measure
        on observed_year.table_id = measure.table_id
        and observed_year.measure_id = measure.measure_id
    inner join catalogue.successor as successor
        on observed_year.borders_year = successor.borders_year
    left join staging.observation as observation
        on observed_year.table_id = observation.table_id
        and observed_year.measure_id = observation.measure_id
        and observed_year.year = observation.year
        and successor.region_code = observation.region_code
    -- parts are weighed with their inhabitants in the year in which these borders held
    left join intermediate.support_part as population
        on observed_year.borders_year = population.year
        and successor.region_code = population.region_code
        and population.series_id = (select method.population_weight from catalogue.method as method)
),

merged as (
    select
        part.source_id,
        part.table_id,
        part.measure_id,
        part.present_code as region_code,
        part.year,
        count(*) as n_parts,
        count(*) = count(part.value) and count(*) = count(part.share) as is_whole,
        any_value(part.merge) as merge,
        any_value(part.value) as single_value,
        sum(part.value * part.share) as summed,
        sum(part.value * part.share * part.population) / nullif(sum(part.share * part.population), 0)
            as weighted,
        count(part.population) as n_populations,
        max(part.share) = 1 and min(part.share) = 1 as has_whole_parts,
        any_value(part.publication_status) as publication_status,
        any_value(part.source_period) as source_period,
        any_value(part.snapshot_id) as snapshot_id
    from part
    group by part.source_id, part.table_id, part.measure_id, part.present_code, part.year
)

select
    merged.source_id,
    merged.table_id,
    merged.measure_id,
    merged.region_code,
    merged.year,
    case
        when not merged.is_whole then null
        when merged.n_parts = 1 and merged.has_whole_parts then merged.single_value
        when merged.merge = 'sum' then merged.summed
        when merged.merge = 'mean' and merged.n_populations = merged.n_parts then merged.weighted
    end as value,
    case
        when not merged.is_whole then 'null_in_source'
        when merged.n_parts = 1 and merged.has_whole_parts then null
        when merged.merge = 'median' then 'merged_median'
        when merged.merge = 'mean' and merged.n_populations < merged.n_parts then 'null_in_source'
    end as missing_reason,
    merged.publication_status,
    merged.source_period,
    merged.snapshot_id
from merged
union all
select
    observation.source_id,
    observation.table_id,
    observation.measure_id,
    observation.region_code,
    observation.year,
    observation.value,
    null as missing_reason,
    observation.publication_status,
    observation.source_period,
    observation.snapshot_id
from staging.observation as observation
cross join catalogue.method as method
where observation.region_code not like 'GM%'
    and observation.value is not null
    and observation.year >= method.observation_first_year
