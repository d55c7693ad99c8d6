-- The fixed set behind larger regions (method, par. 3): municipalities with a value in every year of
-- the series, but for those that the frozen ruler leaves out. Without that a municipality whose gap
-- is filled by a later observation would join, and move the past of the Netherlands.
-- grain: indicator_id, municipality_code
with municipal as (
    select cell.indicator_id, cell.region_code, cell.year, population_base.population
    from intermediate.cell as cell
    inner join intermediate.population_base as population_base
        on cell.region_code = population_base.region_code
    cross join catalogue.method as method
    where cell.value is not null and cell.weight is not null
        and cell.year between method.grid_first_year and method.aggregate_last_year
),

-- the years of the series: those in which the municipalities with a value hold enough inhabitants
series_year as (
    select municipal.indicator_id, municipal.year
    from municipal
    cross join catalogue.method as method
    group by municipal.indicator_id, municipal.year
    having sum(municipal.population) >= any_value(method.aggregate_coverage_share)
        * (select sum(everyone.population) from intermediate.population_base as everyone)
),

series_length as (
    select series_year.indicator_id, count(*) as n_years
    from series_year
    group by series_year.indicator_id
),

left_out as (
    select
        baseline.indicator_id,
        unnest(string_split(baseline.left_out_of_aggregates, ' ')) as municipality_code
    from catalogue.baseline as baseline
)

select municipal.indicator_id, municipal.region_code as municipality_code
from municipal
inner join series_year
    on municipal.indicator_id = series_year.indicator_id and municipal.year = series_year.year
inner join series_length on municipal.indicator_id = series_length.indicator_id
where not exists (
    select 1
    from left_out
    where left_out.indicator_id = municipal.indicator_id
        and left_out.municipality_code = municipal.region_code
)
group by municipal.indicator_id, municipal.region_code
having count(*) = any_value(series_length.n_years)
