-- grain: region_code, year, indicator_id
select
    change_weight.region_code,
    change_weight.year,
    change_weight.indicator_id,
    change_weight.dimension_id,
    change_weight.weight_in_index * change_weight.change as contribution
from intermediate.change_weight as change_weight
inner join intermediate.index_year as index_year on change_weight.year = index_year.year
inner join marts.btg_index as btg_index
    on change_weight.region_code = btg_index.region_code and change_weight.year = btg_index.year
where index_year.is_index_year
    and btg_index.score is not null
    and change_weight.weight_in_index is not null
order by change_weight.region_code, change_weight.year, change_weight.indicator_id
