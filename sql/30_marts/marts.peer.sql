-- grain: region_code, place
-- The most similar municipalities: Euclidean distance of standardised criteria of the base year
-- (size, density, age, income), none of them an outcome of the index.
with criterion as (
    select unnest(method.peer_criteria) as is_about
    from catalogue.method as method
),

criterion_value as (
    select
        measure.region_code,
        criterion.is_about.id as criterion_id,
        case when criterion.is_about.is_log then ln(measure.value) else measure.value end as value
    from criterion
    inner join intermediate.measure as measure
        on criterion.is_about."table" = measure.table_id
        and criterion.is_about.measure = measure.measure_id
    inner join meta.region as region on measure.region_code = region.region_code
    cross join meta.method as method
    where region.region_level = 'gemeente' and measure.year = method.base_year and measure.value > 0
),

standardised as (
    select
        criterion_value.region_code,
        criterion_value.criterion_id,
        (criterion_value.value - avg(criterion_value.value) over same)
            / stddev_samp(criterion_value.value) over same as z_score
    from criterion_value
    window same as (partition by criterion_value.criterion_id)
),

pair as (
    select
        one.region_code,
        other.region_code as peer_code,
        count(*) as n_criteria,
        sqrt(sum((one.z_score - other.z_score) ** 2)) as distance
    from standardised as one
    inner join standardised as other
        on one.criterion_id = other.criterion_id and one.region_code <> other.region_code
    group by one.region_code, other.region_code
),

placed as (
    select
        pair.region_code,
        pair.peer_code,
        pair.distance,
        row_number() over (partition by pair.region_code order by pair.distance, pair.peer_code) as place
    from pair
    -- a municipality without one of the criteria has no distance
    where pair.n_criteria = (select count(*) from criterion)
)

select placed.region_code, placed.place, placed.peer_code, placed.distance
from placed
cross join meta.method as method
where placed.place <= method.n_peers
order by placed.region_code, placed.place
