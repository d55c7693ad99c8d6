-- severity: critical
-- table: marts.dimension_score
-- why: weights of dimensions, and of indicators within a dimension, sum to 1; the weight that is present in a row is what coverage_share says, so that dividing by it gives weights that sum to 1 again
-- reason: a missing indicator that keeps its weight pulls the score to zero without anybody seeing it.
with declared as (
    select 'dimensions' as item, sum(dimension.weight) as total
    from meta.dimension as dimension
    union all
    select indicator.dimension_id as item, sum(indicator.weight) as total
    from meta.indicator as indicator
    where indicator.in_index
    group by indicator.dimension_id
),

present as (
    select
        score.region_code,
        score.year,
        score.dimension_id,
        coalesce(sum(indicator.weight) filter (where score.score is not null), 0) as weight
    from marts.indicator_score as score
    inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id
    where indicator.in_index
    group by score.region_code, score.year, score.dimension_id
)

select declared.item as region_code, null as year, declared.item as dimension_id, declared.total as weight, 1.0 as expected
from declared
cross join meta.method as method
where abs(declared.total - 1) > method.comparison_tolerance
union all
select dimension_score.region_code, dimension_score.year, dimension_score.dimension_id, dimension_score.coverage_share, present.weight
from marts.dimension_score as dimension_score
left join present
    on dimension_score.region_code = present.region_code
    and dimension_score.year = present.year
    and dimension_score.dimension_id = present.dimension_id
cross join meta.method as method
where present.weight is null or abs(dimension_score.coverage_share - present.weight) > method.comparison_tolerance
