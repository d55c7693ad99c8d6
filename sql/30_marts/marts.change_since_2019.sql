-- grain: region_code, year, level, item_id
-- A change is a change, not an effect of the Regio Deal.
with index_level as (
    select
        now.region_code,
        now.year,
        'index' as level,
        'index' as item_id,
        base.score as base_score,
        now.score,
        now.score - base.score as level_change,
        case when any_value(change_weight.is_matched_index) and now.score is not null and base.score is not null
            then sum(change_weight.weight_in_index * change_weight.change) end as matched_change,
        any_value(change_weight.n_dimensions_matched) as n_dimensions_matched,
        any_value(change_weight.matched_weight_share) as matched_weight_share,
        case when any_value(change_weight.is_comparable_index) and now.score is not null and base.score is not null
            then sum(change_weight.comparable_weight_in_index
                * (change_weight.change - change_weight.national_change)) end as change_vs_nl,
        bool_or(change_weight.has_level_break and change_weight.weight_in_index is not null) as has_level_break,
        any_value(case
            when base.score is null then 'no_base'
            when now.score is null then now.null_reason
            when not change_weight.is_matched_index then 'no_independent_observation'
        end) as unknown_reason
    from marts.btg_index as now
    inner join marts.btg_index as base
        on now.region_code = base.region_code
        and base.year = (select method.base_year from catalogue.method as method)
    inner join intermediate.change_weight as change_weight
        on now.region_code = change_weight.region_code and now.year = change_weight.year
    group by now.region_code, now.year, base.score, now.score
),

dimension_level as (
    select
        now.region_code,
        now.year,
        'dimension' as level,
        now.dimension_id as item_id,
        base.score as base_score,
        now.score,
        now.score - base.score as level_change,
        case when any_value(change_weight.is_matched_dimension) and now.score is not null and base.score is not null
            then sum(change_weight.weight_in_dimension * change_weight.change) end as matched_change,
        cast(any_value(change_weight.is_matched_dimension) as integer) as n_dimensions_matched,
        coalesce(any_value(change_weight.matched_weight), 0) as matched_weight_share,
        case when any_value(change_weight.is_comparable_dimension) and now.score is not null and base.score is not null
            then sum(change_weight.comparable_weight_in_dimension
                * (change_weight.change - change_weight.national_change)) end as change_vs_nl,
        bool_or(change_weight.has_level_break and change_weight.weight_in_dimension is not null) as has_level_break,
        any_value(case
            when base.score is null then 'no_base'
            when now.score is null then now.null_reason
            when not change_weight.is_matched_dimension then 'no_independent_observation'
        end) as unknown_reason
    from intermediate.dimension_score as now
    inner join intermediate.dimension_score as base
        on now.region_code = base.region_code
        and now.dimension_id = base.dimension_id
        and base.year = (select method.base_year from catalogue.method as method)
    inner join intermediate.change_weight as change_weight
        on now.region_code = change_weight.region_code
        and now.year = change_weight.year
        and now.dimension_id = change_weight.dimension_id
    group by now.region_code, now.year, now.dimension_id, base.score, now.score
),

indicator_level as (
    select
        matched.region_code,
        matched.year,
        'indicator' as level,
        matched.indicator_id as item_id,
        matched.base_score,
        matched.score,
        -- an indicator has a change only where it is matched: a carried copy is not "no change"
        case when matched.is_matched then matched.change end as level_change,
        case when matched.is_matched then matched.change end as matched_change,
        cast(null as integer) as n_dimensions_matched,
        cast(matched.is_matched as integer) as matched_weight_share,
        case when matched.is_comparable then matched.change - matched.national_change end as change_vs_nl,
        matched.has_level_break,
        matched.unmatched_reason as unknown_reason
    from intermediate.matched as matched
),

all_levels as (
    select * from index_level
    union all
    select * from dimension_level
    union all
    select * from indicator_level
)

select
    all_levels.region_code,
    all_levels.year,
    all_levels.level,
    all_levels.item_id,
    all_levels.base_score,
    all_levels.score,
    all_levels.level_change as change,
    all_levels.matched_change,
    all_levels.level_change - all_levels.matched_change as composition_effect,
    all_levels.n_dimensions_matched,
    all_levels.matched_weight_share,
    all_levels.change_vs_nl,
    cast(null as double) as standard_error,
    cast(null as double) as error_known_share,
    cast(null as double) as share_improved,
    case
        when all_levels.matched_change is null then 'unknown'
        else 'unclear'
    end as direction,
    case
        when all_levels.matched_change is null then all_levels.unknown_reason
        when all_levels.year = method.base_year then 'base_year'
        when all_levels.has_level_break then 'level_break'
        else 'uncertainty_not_computed'
    end as direction_reason
from all_levels
cross join catalogue.method as method
order by all_levels.region_code, all_levels.year, all_levels.level, all_levels.item_id
