-- Support series (population) on the borders of each year: the preferred table that has a value.
-- grain: series_id, region_code, year
select
    support.series_id,
    observation.region_code,
    observation.year,
    arg_min(observation.value, support.position) as value
from staging.observation as observation
inner join catalogue.support as support
    on observation.table_id = support.table_id
    and observation.measure_id = support.measure_id
where observation.value is not null
group by support.series_id, observation.region_code, observation.year
