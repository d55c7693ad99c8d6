-- One route per indicator and region level for all years (method, par. 3): 'published' only if every
-- region of the level has a published value in every year of the series, else 'aggregated'.
-- grain: indicator_id, region_level
with needed as (
    select
        aggregate.indicator_id,
        region.region_level,
        aggregate.region_code,
        aggregate.year
    from intermediate.aggregate as aggregate
    inner join catalogue.region as region on aggregate.region_code = region.region_code
    cross join catalogue.method as method
    where aggregate.year between method.grid_first_year and method.aggregate_last_year
)

select
    indicator.indicator_id,
    level.region_level,
    case
        when level.region_level = 'gemeente' then 'published'
        when count(needed.year) > 0 and count(needed.year) = count(cell.value) then 'published'
        else 'aggregated'
    end as route
from catalogue.indicator as indicator
cross join (select distinct region.region_level from catalogue.region as region) as level
left join needed
    on indicator.indicator_id = needed.indicator_id
    and level.region_level = needed.region_level
left join intermediate.cell as cell
    on needed.indicator_id = cell.indicator_id
    and needed.region_code = cell.region_code
    and needed.year = cell.year
group by indicator.indicator_id, level.region_level
