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
        -- (in the base year itself every change is 0, also of a relative indicator)
        case
            when matched.is_matched then matched.change
            when matched.year = (select method.base_year from catalogue.method as method)
                then matched.change
        end as level_change,
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
),

-- method, par. 7: how sure the change is, by the error models and over the variants of the method
judged as (
    select
        all_levels.*,
        uncertainty.standard_error,
        uncertainty.error_known_share,
        uncertainty.share_improved,
        case when all_levels.matched_change > 0 then uncertainty.share_improved
            else uncertainty.share_worsened end as share_with_sign
    from all_levels
    left join uncertainty.change as uncertainty
        on all_levels.region_code = uncertainty.region_code
        and all_levels.year = uncertainty.year
        and all_levels.level = uncertainty.level
        and all_levels.item_id = uncertainty.item_id
        and all_levels.matched_change is not null
),

reasoned as (
    select
        judged.*,
        case
            when judged.matched_change is null then judged.unknown_reason
            when judged.year = method.base_year then 'base_year'
            when judged.has_level_break then 'level_break'
            when judged.standard_error is null then 'error_unknown'
            when judged.share_with_sign is null then 'variant_missing'
            when judged.share_with_sign + method.comparison_tolerance < method.direction_share
                then 'method_dependent'
            when abs(judged.matched_change) <= method.direction_z * judged.standard_error
                then 'within_error'
            else 'robust'
        end as direction_reason
    from judged
    cross join catalogue.method as method
)

select
    reasoned.region_code,
    reasoned.year,
    reasoned.level,
    reasoned.item_id,
    reasoned.base_score,
    reasoned.score,
    reasoned.level_change as change,
    reasoned.matched_change,
    reasoned.level_change - reasoned.matched_change as composition_effect,
    reasoned.n_dimensions_matched,
    reasoned.matched_weight_share,
    reasoned.change_vs_nl,
    reasoned.standard_error,
    reasoned.error_known_share,
    reasoned.share_improved,
    case
        when reasoned.matched_change is null then 'unknown'
        when reasoned.direction_reason <> 'robust' then 'unclear'
        when reasoned.matched_change > 0 then 'up'
        else 'down'
    end as direction,
    reasoned.direction_reason
from reasoned
order by reasoned.region_code, reasoned.year, reasoned.level, reasoned.item_id
