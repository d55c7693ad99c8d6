-- grain: region_code, year, level, standing, place
-- Where a municipality stands best and worst among all municipalities: only what lies in the better
-- (worse) half counts as a strength (weakness). In index years.
with item as (
    select
        score.region_code,
        score.year,
        'indicator' as level,
        cast(score.indicator_id as varchar) as item_id,
        score.score
    from marts.indicator_score as score
    inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id
    where indicator.in_index
    union all
    select
        score.region_code,
        score.year,
        'dimension' as level,
        cast(score.dimension_id as varchar) as item_id,
        score.score
    from marts.dimension_score as score
),

ranked as (
    select
        item.region_code,
        item.year,
        item.level,
        item.item_id,
        item.score,
        rank() over (partition by item.year, item.level, item.item_id order by item.score desc) as rank_nl,
        count(*) over (partition by item.year, item.level, item.item_id) as n_ranked,
        -- share of the other municipalities with a lower score
        percent_rank() over (partition by item.year, item.level, item.item_id order by item.score) as better_share
    from item
    inner join meta.region as region on item.region_code = region.region_code
    inner join meta.index_year as index_year on item.year = index_year.year
    where region.region_level = 'gemeente' and index_year.is_index_year and item.score is not null
),

placed as (
    select ranked.*, 'strength' as standing,
        row_number() over (
            partition by ranked.region_code, ranked.year, ranked.level
            order by ranked.better_share desc, ranked.item_id
        ) as place
    from ranked
    where ranked.better_share > 0.5
    union all
    select ranked.*, 'weakness' as standing,
        row_number() over (
            partition by ranked.region_code, ranked.year, ranked.level
            order by ranked.better_share, ranked.item_id
        ) as place
    from ranked
    where ranked.better_share < 0.5
)

select
    placed.region_code,
    placed.year,
    placed.level,
    placed.standing,
    placed.place,
    placed.item_id,
    placed.score,
    placed.rank_nl,
    placed.n_ranked
from placed
cross join meta.method as method
where placed.place <= method.n_strengths
order by placed.region_code, placed.year, placed.level, placed.standing, placed.place
