-- grain: region_code, year, item_id
-- Twente beside the provinces and the other COROP areas, in index years.
with item as (
    select
        btg_index.region_code,
        btg_index.year,
        'index' as item_id,
        btg_index.score
    from marts.btg_index as btg_index
    union all
    select
        score.region_code,
        score.year,
        cast(score.dimension_id as varchar) as item_id,
        score.score
    from marts.dimension_score as score
),

compared as (
    select
        item.region_code,
        item.year,
        item.item_id,
        region.region_level,
        item.score,
        rank() over (partition by item.year, item.item_id, region.region_level order by item.score desc) as rank_in_level,
        count(item.score) over (partition by item.year, item.item_id, region.region_level) as n_in_level,
        change.matched_change,
        change.change_vs_nl
    from item
    inner join meta.region as region on item.region_code = region.region_code
    inner join meta.index_year as index_year on item.year = index_year.year
    inner join marts.change_since_2019 as change
        on item.region_code = change.region_code
        and item.year = change.year
        and item.item_id = change.item_id
        and change.level <> 'indicator'
    where region.region_level in ('corop', 'provincie') and index_year.is_index_year
),

-- Twente is the COROP area of which all municipalities are
twente as (
    select compared.year, compared.item_id, compared.score, compared.matched_change
    from compared
    where compared.region_code = (
        select membership.region_code
        from staging.membership as membership
        inner join meta.region as region on membership.municipality_code = region.region_code
        inner join meta.region as larger on membership.region_code = larger.region_code
        where larger.region_level = 'corop'
        group by membership.region_code
        having bool_and(region.is_twente)
    )
)

select
    compared.region_code,
    compared.year,
    compared.item_id,
    compared.region_level,
    compared.score,
    case when compared.score is not null then compared.rank_in_level end as rank_in_level,
    compared.n_in_level,
    twente.score - compared.score as twente_ahead,
    compared.matched_change,
    twente.matched_change - compared.matched_change as twente_change_ahead,
    compared.change_vs_nl
from compared
inner join twente on compared.year = twente.year and compared.item_id = twente.item_id
order by compared.region_code, compared.year, compared.item_id
