-- Which indicators can carry a change since the base year (method, par. 6), with the scores at both
-- ends: both valid, on observations of their own, on one side of every break.
-- grain: region_code, year, indicator_id
with base as (
    select score.*
    from intermediate.indicator_score as score
    cross join catalogue.method as method
    where score.year = method.base_year
),

pair as (
    select
        score.region_code,
        score.year,
        score.indicator_id,
        score.dimension_id,
        score.weight,
        score.in_index,
        score.is_relative,
        base.score as base_score,
        score.score,
        score.missing_reason,
        base.missing_reason as base_missing_reason,
        case
            when score.year > method.base_year then score.obs_last_year > base.obs_last_year
            when score.year < method.base_year then score.obs_first_year < base.obs_first_year
            else true
        end as is_independent
    from intermediate.indicator_score as score
    inner join base
        on score.region_code = base.region_code and score.indicator_id = base.indicator_id
    cross join catalogue.method as method
),

national as (
    select pair.*
    from pair
    inner join catalogue.region as region on pair.region_code = region.region_code
    where region.region_level = 'land'
)

select
    pair.region_code,
    pair.year,
    pair.indicator_id,
    pair.dimension_id,
    pair.weight,
    pair.in_index,
    pair.is_relative,
    pair.base_score,
    pair.score,
    case
        when pair.base_score is null then coalesce(pair.base_missing_reason, 'no_base')
        when pair.score is null then pair.missing_reason
        when not pair.is_independent then 'no_independent_observation'
        when pair.is_relative then 'relative'
    end as unmatched_reason,
    pair.base_score is not null and pair.score is not null and pair.is_independent
        and not pair.is_relative as is_matched,
    -- against the Netherlands: relative indicators included, valid at both ends for both
    pair.base_score is not null and pair.score is not null and pair.is_independent
        and national.base_score is not null and national.score is not null
        and national.is_independent as is_comparable,
    pair.score - pair.base_score as change,
    national.score - national.base_score as national_change,
    exists (
        select 1
        from catalogue.break as break
        cross join catalogue.method as method
        where break.indicator_id = pair.indicator_id
            and break.kind = 'level'
            and break.year > least(pair.year, method.base_year)
            and break.year <= greatest(pair.year, method.base_year)
    ) as has_level_break
from pair
left join national
    on pair.indicator_id = national.indicator_id
    and pair.year = national.year
