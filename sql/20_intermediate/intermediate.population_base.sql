-- Inhabitants of every present municipality in the base year: the population weight of the ruler,
-- and of what share of a larger region a set of municipalities covers.
-- grain: region_code
select support.region_code, support.value as population
from intermediate.support as support
cross join catalogue.method as method
where support.series_id = method.population_base
    and support.year = method.base_year
    and support.region_code like 'GM%'
