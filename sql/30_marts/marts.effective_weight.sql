-- grain: year, level, item_id
-- What an item really weighs: its correlation with the index over municipalities, squared the share
-- of the variance that they have in common (Paruolo, Saisana & Saltelli 2013), beside its weight.
select
    item_score.year,
    item_score.level,
    item_score.item_id,
    any_value(item_score.nominal_weight) as nominal_weight,
    count(*) as n_municipalities,
    corr(item_score.score, btg_index.score) as correlation_with_index,
    corr(item_score.score, btg_index.score) ** 2 as common_variance_share
from intermediate.item_score as item_score
inner join marts.btg_index as btg_index
    on item_score.region_code = btg_index.region_code and item_score.year = btg_index.year
cross join meta.method as method
where item_score.year in (method.base_year, method.last_index_year) and btg_index.score is not null
group by item_score.year, item_score.level, item_score.item_id
order by item_score.year, item_score.level, item_score.item_id
