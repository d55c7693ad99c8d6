-- Dimension = weighted mean of the indicators present, if they hold half of its weight (method, par. 5).
-- grain: region_code, year, dimension_id
with weighed as (
    select
        score.region_code,
        score.year,
        score.dimension_id,
        sum(score.weight) filter (where score.score is not null) as weight_present,
        sum(score.weight * score.score) as weighted_score,
        sum(score.weight) filter (
            where score.score is not null and score.publication_status in ('voorlopig', 'nader_voorlopig')
        ) as weight_provisional,
        sum(score.weight) filter (
            where score.score is not null and score.publication_status = 'onbekend'
        ) as weight_unknown,
        sum(score.weight) filter (
            where score.score is not null and score.cell_status <> 'observed'
        ) as weight_imputed,
        sum(score.weight) filter (
            where score.score is not null and score.cell_status in ('observed', 'interpolated')
        ) as weight_near_observed
    from intermediate.indicator_score as score
    where score.in_index
    group by score.region_code, score.year, score.dimension_id
),

judged as (
    select
        weighed.*,
        coalesce(weighed.weight_present, 0) + method.comparison_tolerance
            >= method.dimension_coverage_share as is_covered
    from weighed
    cross join catalogue.method as method
)

select
    judged.region_code,
    judged.year,
    judged.dimension_id,
    case when judged.is_covered then judged.weighted_score / judged.weight_present end as score,
    case when not judged.is_covered then 'below_coverage' end as null_reason,
    -- a share of weight: nothing present is a share of zero, not a missing one
    coalesce(judged.weight_present, 0) as coverage_share,
    case when judged.is_covered then coalesce(judged.weight_provisional, 0) / judged.weight_present end
        as provisional_share,
    case when judged.is_covered then coalesce(judged.weight_unknown, 0) / judged.weight_present end
        as status_unknown_share,
    case when judged.is_covered then coalesce(judged.weight_imputed, 0) / judged.weight_present end
        as imputed_share,
    coalesce(judged.weight_near_observed, 0) as near_observed_share
from judged
