-- The index of every region and year before the rule on index years: mean of the dimensions present,
-- if they are nine of eleven (method, par. 5); the same on the common set of indicators.
-- grain: region_code, year
with whole as (
    select
        dimension_score.region_code,
        dimension_score.year,
        count(dimension_score.score) as n_dimensions,
        sum(dimension.weight * dimension_score.score)
            / nullif(sum(dimension.weight) filter (where dimension_score.score is not null), 0) as score,
        sum(dimension.weight * dimension_score.coverage_share)
            filter (where dimension_score.score is not null) / sum(dimension.weight) as coverage,
        sum(dimension.weight * dimension_score.provisional_share)
            / nullif(sum(dimension.weight) filter (where dimension_score.score is not null), 0) as provisional_share,
        sum(dimension.weight * dimension_score.status_unknown_share)
            / nullif(sum(dimension.weight) filter (where dimension_score.score is not null), 0) as status_unknown_share,
        sum(dimension.weight * dimension_score.imputed_share)
            / nullif(sum(dimension.weight) filter (where dimension_score.score is not null), 0) as imputed_share,
        sum(dimension.weight * dimension_score.near_observed_share) / sum(dimension.weight) as near_observed_share
    from intermediate.dimension_score as dimension_score
    inner join catalogue.dimension as dimension on dimension_score.dimension_id = dimension.dimension_id
    group by dimension_score.region_code, dimension_score.year
),

common_dimension as (
    select
        score.region_code,
        score.year,
        score.dimension_id,
        case
            when sum(score.weight) filter (where score.score is not null) + any_value(method.comparison_tolerance)
                >= any_value(method.dimension_coverage_share)
                then sum(score.weight * score.score) / sum(score.weight) filter (where score.score is not null)
        end as score
    from intermediate.indicator_score as score
    inner join intermediate.common_indicator as common
        on score.year = common.year and score.indicator_id = common.indicator_id
    cross join catalogue.method as method
    group by score.region_code, score.year, score.dimension_id
),

common_index as (
    select
        common_dimension.region_code,
        common_dimension.year,
        case
            when count(common_dimension.score) >= any_value(method.index_min_dimensions)
                then sum(dimension.weight * common_dimension.score)
                    / sum(dimension.weight) filter (where common_dimension.score is not null)
        end as score
    from common_dimension
    inner join catalogue.dimension as dimension on common_dimension.dimension_id = dimension.dimension_id
    cross join catalogue.method as method
    group by common_dimension.region_code, common_dimension.year
)

select
    whole.region_code,
    whole.year,
    whole.n_dimensions,
    case when whole.n_dimensions >= method.index_min_dimensions then whole.score end as score,
    common_index.score as common_set_score,
    -- nothing present is a share of zero
    coalesce(whole.coverage, 0) as coverage_share,
    whole.provisional_share,
    whole.status_unknown_share,
    whole.imputed_share,
    whole.near_observed_share
from whole
cross join catalogue.method as method
left join common_index
    on whole.region_code = common_index.region_code
    and whole.year = common_index.year
