-- Scores of municipalities, indicators of the index and dimensions in one form, for what compares
-- items; the nominal weight is that in the index.
-- grain: region_code, year, level, item_id
with item as (
    select
        score.region_code,
        score.year,
        'indicator' as level,
        cast(score.indicator_id as varchar) as item_id,
        cast(score.dimension_id as varchar) as dimension_id,
        score.weight * dimension.weight as nominal_weight,
        score.score
    from intermediate.indicator_score as score
    inner join catalogue.dimension as dimension on score.dimension_id = dimension.dimension_id
    where score.in_index
    union all
    select
        score.region_code,
        score.year,
        'dimension' as level,
        cast(score.dimension_id as varchar) as item_id,
        cast(score.dimension_id as varchar) as dimension_id,
        dimension.weight as nominal_weight,
        score.score
    from intermediate.dimension_score as score
    inner join catalogue.dimension as dimension on score.dimension_id = dimension.dimension_id
)

select item.*
from item
inner join catalogue.region as region on item.region_code = region.region_code
where region.region_level = 'gemeente' and item.score is not null
