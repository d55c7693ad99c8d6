-- severity: critical
-- table: marts.change_since_2019
-- why: no change is taken across a definition break of the catalogue
-- reason: the distance to a practice fell by up to 7 km in 2020 because side addresses no longer count.
select change.region_code, change.year, change.item_id, change.matched_change, break.year as break_year
from marts.change_since_2019 as change
cross join meta.method as method
inner join meta.break as break on change.item_id = break.indicator_id
where change.level = 'indicator' and break.kind = 'definition'
    and (change.matched_change is not null or change.change_vs_nl is not null)
    and break.year > least(change.year, method.base_year)
    and break.year <= greatest(change.year, method.base_year)
