-- severity: critical
-- table: marts.btg_index
-- why: the index is re-computed from the published indicator scores and weights
-- reason: anybody with the file must be able to re-compute the index by hand.
with dimensional as (
    select
        score.region_code,
        score.year,
        score.dimension_id,
        sum(indicator.weight) filter (where score.score is not null) as present,
        sum(indicator.weight * score.score) as weighted
    from marts.indicator_score as score
    inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id
    where indicator.in_index
    group by score.region_code, score.year, score.dimension_id
),

recomputed as (
    select
        dimensional.region_code,
        dimensional.year,
        sum(dimension.weight * dimensional.weighted / dimensional.present) / sum(dimension.weight) as score
    from dimensional
    inner join meta.dimension as dimension on dimensional.dimension_id = dimension.dimension_id
    cross join meta.method as method
    where dimensional.present >= method.dimension_coverage_share - method.comparison_tolerance
    group by dimensional.region_code, dimensional.year
)

select btg_index.region_code, btg_index.year, btg_index.score, recomputed.score as recomputed_score
from marts.btg_index as btg_index
left join recomputed
    on btg_index.region_code = recomputed.region_code and btg_index.year = recomputed.year
cross join meta.method as method
where btg_index.score is not null
    and (recomputed.score is null or abs(btg_index.score - recomputed.score) > method.comparison_tolerance)
