-- Support series (population) on present borders, and of larger regions as published.
-- grain: series_id, region_code, year
select
    support.series_id,
    measure.region_code,
    measure.year,
    arg_min(measure.value, support.position) as value,
    arg_min(measure.publication_status, support.position) as publication_status
from intermediate.measure as measure
inner join catalogue.support as support
    on measure.table_id = support.table_id
    and measure.measure_id = support.measure_id
where measure.value is not null
group by support.series_id, measure.region_code, measure.year
