-- grain: year, level, item_a, item_b
-- Pearson, over the municipalities that have both; each pair once, indicators inside and between
-- dimensions, and dimensions with each other.
with
municipal as (
    select item_score.*
    from intermediate.item_score as item_score
    cross join meta.method as method
    where item_score.year in (method.base_year, method.last_index_year)
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
