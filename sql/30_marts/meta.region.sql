-- grain: region_code
select
    region.region_code,
    region.region_name,
    region.region_level,
    region.is_twente,
    sum(population_base.population) as population_base
from catalogue.region as region
left join staging.membership as membership
    on region.region_code = membership.region_code
left join intermediate.population_base as population_base
    on population_base.region_code = coalesce(membership.municipality_code, region.region_code)
group by region.region_code, region.region_name, region.region_level, region.is_twente
order by region.region_code
