-- grain: year, level, item_a, item_b
-- Pearson, over the municipalities that have both; each pair once, indicators inside and between
-- dimensions, and dimensions with each other.
with
item as (
    select
        score.region_code,
        score.year,
        'indicator' as level,
        cast(score.indicator_id as varchar) as item_id,
        cast(score.dimension_id as varchar) as dimension_id,
        indicator.weight * dimension.weight as nominal_weight,
        score.score
    from marts.indicator_score as score
    inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id
    inner join meta.dimension as dimension on score.dimension_id = dimension.dimension_id
    where indicator.in_index
    union all
    select
        score.region_code,
        score.year,
        'dimension' as level,
        cast(score.dimension_id as varchar) as item_id,
        cast(score.dimension_id as varchar) as dimension_id,
        dimension.weight as nominal_weight,
        score.score
    from marts.dimension_score as score
    inner join meta.dimension as dimension on score.dimension_id = dimension.dimension_id
),

municipal as (
    select item.*
    from item
    inner join meta.region as region on item.region_code = region.region_code
    cross join meta.method as method
    where region.region_level = 'gemeente'
        and item.year in (method.base_year, method.last_index_year)
        and item.score is not null
),

pair as (
    select
        one.year,
        one.level,
        one.item_id as item_a,
        other.item_id as item_b,
        one.dimension_id = other.dimension_id as is_same_dimension,
        count(*) as n_municipalities,
        corr(one.score, other.score) as correlation
    from municipal as one
    inner join municipal as other
        on one.region_code = other.region_code
        and one.year = other.year
        and one.level = other.level
        and one.item_id < other.item_id
    group by one.year, one.level, one.item_id, other.item_id, one.dimension_id, other.dimension_id
)

select
    pair.year,
    pair.level,
    pair.item_a,
    pair.item_b,
    pair.is_same_dimension,
    pair.n_municipalities,
    -- a constant item has no correlation
    case when not isnan(pair.correlation) then pair.correlation end as correlation,
    case
        when isnan(pair.correlation) then 'constant'
        when pair.correlation >= method.correlation_redundant then 'redundant'
        when pair.correlation <= method.correlation_negative then 'negative'
        when abs(pair.correlation) < method.correlation_weak then 'weak'
        else 'ordinary'
    end as correlation_flag
from pair
cross join meta.method as method
order by pair.year, pair.level, pair.item_a, pair.item_b
