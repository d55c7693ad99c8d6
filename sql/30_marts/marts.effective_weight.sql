-- grain: year, level, item_id
-- What an item really weighs: its correlation with the index over municipalities, squared the share
-- of the variance that they have in common (Paruolo, Saisana & Saltelli 2013), beside its weight.
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
)

select
    municipal.year,
    municipal.level,
    municipal.item_id,
    any_value(municipal.nominal_weight) as nominal_weight,
    count(*) as n_municipalities,
    corr(municipal.score, btg_index.score) as correlation_with_index,
    corr(municipal.score, btg_index.score) ** 2 as common_variance_share
from municipal
inner join marts.btg_index as btg_index
    on municipal.region_code = btg_index.region_code and municipal.year = btg_index.year
where btg_index.score is not null
group by municipal.year, municipal.level, municipal.item_id
order by municipal.year, municipal.level, municipal.item_id
