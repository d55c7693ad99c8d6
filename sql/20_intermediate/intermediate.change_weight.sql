-- Weights re-normalised over the matched set, the same at both ends (method, par. 6): a dimension
-- takes part with half of its weight, the index with six of eleven dimensions.
-- grain: region_code, year, indicator_id
with dimensional as (
    select
        matched.region_code,
        matched.year,
        matched.dimension_id,
        sum(matched.weight) filter (where matched.is_matched) as matched_weight,
        sum(matched.weight) filter (where matched.is_comparable) as comparable_weight
    from intermediate.matched as matched
    where matched.in_index
    group by matched.region_code, matched.year, matched.dimension_id
),

taking_part as (
    select
        dimensional.*,
        dimension.weight as dimension_weight,
        coalesce(dimensional.matched_weight, 0) + method.comparison_tolerance
            >= method.change_dimension_coverage_share as is_matched_dimension,
        coalesce(dimensional.comparable_weight, 0) + method.comparison_tolerance
            >= method.change_dimension_coverage_share as is_comparable_dimension
    from dimensional
    inner join catalogue.dimension as dimension on dimensional.dimension_id = dimension.dimension_id
    cross join catalogue.method as method
),

total as (
    select
        taking_part.region_code,
        taking_part.year,
        count(*) filter (where taking_part.is_matched_dimension) as n_dimensions_matched,
        sum(taking_part.dimension_weight) filter (where taking_part.is_matched_dimension) as matched_dimension_weight,
        sum(taking_part.dimension_weight * taking_part.matched_weight)
            filter (where taking_part.is_matched_dimension) as matched_weight_share,
        count(*) filter (where taking_part.is_comparable_dimension) as n_dimensions_comparable,
        sum(taking_part.dimension_weight) filter (where taking_part.is_comparable_dimension)
            as comparable_dimension_weight
    from taking_part
    group by taking_part.region_code, taking_part.year
)

select
    matched.region_code,
    matched.year,
    matched.indicator_id,
    matched.dimension_id,
    matched.is_matched,
    matched.is_comparable,
    matched.has_level_break,
    matched.change,
    matched.national_change,
    taking_part.is_matched_dimension,
    taking_part.is_comparable_dimension,
    taking_part.matched_weight,
    total.n_dimensions_matched,
    total.matched_weight_share,
    total.n_dimensions_matched >= method.change_min_dimensions as is_matched_index,
    total.n_dimensions_comparable >= method.change_min_dimensions as is_comparable_index,
    case when matched.is_matched and taking_part.is_matched_dimension
        then matched.weight / taking_part.matched_weight end as weight_in_dimension,
    case when matched.is_matched and taking_part.is_matched_dimension
            and total.n_dimensions_matched >= method.change_min_dimensions
        then taking_part.dimension_weight / total.matched_dimension_weight
            * matched.weight / taking_part.matched_weight end as weight_in_index,
    case when matched.is_comparable and taking_part.is_comparable_dimension
        then matched.weight / taking_part.comparable_weight end as comparable_weight_in_dimension,
    case when matched.is_comparable and taking_part.is_comparable_dimension
            and total.n_dimensions_comparable >= method.change_min_dimensions
        then taking_part.dimension_weight / total.comparable_dimension_weight
            * matched.weight / taking_part.comparable_weight end as comparable_weight_in_index
from intermediate.matched as matched
inner join taking_part
    on matched.region_code = taking_part.region_code
    and matched.year = taking_part.year
    and matched.dimension_id = taking_part.dimension_id
inner join total on matched.region_code = total.region_code and matched.year = total.year
cross join catalogue.method as method
where matched.in_index
