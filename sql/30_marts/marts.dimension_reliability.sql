-- grain: year, dimension_id
-- Cronbach's alpha: k / (k - 1) * (1 - sum of item variances / variance of the item sum), over the
-- municipalities that have all items of the dimension.
with municipal as (
    select score.region_code, score.year, score.dimension_id, score.indicator_id, score.score
    from marts.indicator_score as score
    inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id
    inner join meta.region as region on score.region_code = region.region_code
    cross join meta.method as method
    where indicator.in_index
        and region.region_level = 'gemeente'
        and score.year in (method.base_year, method.last_index_year)
),

complete as (
    select
        municipal.region_code,
        municipal.year,
        municipal.dimension_id,
        count(*) as n_items,
        sum(municipal.score) as item_sum
    from municipal
    group by municipal.region_code, municipal.year, municipal.dimension_id
    having count(*) = count(municipal.score)
),

item as (
    select municipal.year, municipal.dimension_id, municipal.indicator_id, var_samp(municipal.score) as item_variance
    from municipal
    inner join complete
        on municipal.region_code = complete.region_code
        and municipal.year = complete.year
        and municipal.dimension_id = complete.dimension_id
    group by municipal.year, municipal.dimension_id, municipal.indicator_id
),

total as (
    select
        complete.year,
        complete.dimension_id,
        any_value(complete.n_items) as n_items,
        count(*) as n_municipalities,
        var_samp(complete.item_sum) as sum_variance
    from complete
    group by complete.year, complete.dimension_id
),

reliability as (
    select
        total.year,
        total.dimension_id,
        total.n_items,
        total.n_municipalities,
        case when total.n_items > 1 then total.n_items / (total.n_items - 1)
            * (1 - sum(item.item_variance) / nullif(total.sum_variance, 0)) end as alpha
    from total
    inner join item on total.year = item.year and total.dimension_id = item.dimension_id
    group by total.year, total.dimension_id, total.n_items, total.n_municipalities, total.sum_variance
)

select
    reliability.year,
    reliability.dimension_id,
    reliability.n_items,
    reliability.n_municipalities,
    reliability.alpha,
    reliability.alpha >= method.alpha_acceptable as is_consistent
from reliability
cross join meta.method as method
order by reliability.year, reliability.dimension_id
