-- severity: critical
-- table: marts.change_since_2019
-- why: a carried copy of the base is not "no change": the end rests on a newer observation than the base
-- reason: a carried copy of 2019 reported as a change of 0.0 says that nothing changed where nothing was measured.
select change.region_code, change.year, change.item_id, change.matched_change
from marts.change_since_2019 as change
cross join meta.method as method
inner join marts.indicator_score as now
    on change.region_code = now.region_code
    and change.year = now.year
    and change.item_id = now.indicator_id
inner join marts.indicator_score as base
    on change.region_code = base.region_code
    and base.year = method.base_year
    and change.item_id = base.indicator_id
where change.level = 'indicator'
    and change.matched_change is not null
    and (
        (change.year > method.base_year and now.obs_last_year <= base.obs_last_year)
        or (change.year < method.base_year and now.obs_first_year >= base.obs_first_year)
    )
