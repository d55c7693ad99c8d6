-- severity: critical
-- table: marts.btg_index
-- why: a rank stands only beside an index score of a municipality that has enough dimensions, and n_ranked counts those of the year
-- reason: a municipality on two dimensions can be first.
with ranked as (
    select btg_index.year, count(btg_index.rank_nl) as n_ranked
    from marts.btg_index as btg_index
    group by btg_index.year
)

select btg_index.region_code, btg_index.year, btg_index.rank_nl, btg_index.n_dimensions, btg_index.n_ranked
from marts.btg_index as btg_index
inner join ranked on btg_index.year = ranked.year
cross join meta.method as method
where (btg_index.rank_nl is not null or btg_index.rank_common_set is not null)
    and (
        btg_index.region_level <> 'gemeente'
        or btg_index.score is null
        or btg_index.n_dimensions < method.index_min_dimensions
        or (btg_index.rank_nl is not null and btg_index.n_ranked <> ranked.n_ranked)
    )
