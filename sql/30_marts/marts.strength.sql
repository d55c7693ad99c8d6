-- grain: region_code, year, level, standing, place
-- Where a municipality stands best and worst among all municipalities: only what lies in the better
-- (worse) half counts as a strength (weakness). In index years.
with ranked as (
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
    from intermediate.item_score as item
    inner join meta.index_year as index_year on item.year = index_year.year
    where index_year.is_index_year
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
