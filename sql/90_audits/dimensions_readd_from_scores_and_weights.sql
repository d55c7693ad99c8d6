-- severity: critical
-- table: marts.dimension_score
-- why: every dimension score is re-computed from the published indicator scores and weights
-- reason: the index may re-add while a dimension that is left out of it does not.
with recomputed as (
    select
        score.region_code,
        score.year,
        score.dimension_id,
        sum(indicator.weight * score.score) / sum(indicator.weight) filter (where score.score is not null) as score
    from marts.indicator_score as score
    inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id
    where indicator.in_index
    group by score.region_code, score.year, score.dimension_id
)

select dimension_score.region_code, dimension_score.year, dimension_score.dimension_id, dimension_score.score, recomputed.score as recomputed_score
from marts.dimension_score as dimension_score
left join recomputed
    on dimension_score.region_code = recomputed.region_code
    and dimension_score.year = recomputed.year
    and dimension_score.dimension_id = recomputed.dimension_id
cross join meta.method as method
where dimension_score.score is not null
    and (recomputed.score is null or abs(dimension_score.score - recomputed.score) > method.comparison_tolerance)
