-- severity: critical
-- table: marts.indicator_score
-- why: a whole column of observed values that are those of the year before is a copy, not an observation
-- reason: a provider that fills a new year with the old file gives "no change" to everybody. School distances in tenths of a kilometre stay the same in 93 of 100 municipalities; that is below the limit.
with observed as (
    select score.indicator_id, score.region_code, score.year, score.value
    from marts.indicator_score as score
    inner join meta.region as region on score.region_code = region.region_code
    where region.region_level = 'gemeente' and score.cell_status = 'observed'
)

select observed.indicator_id, observed.year, count(*) as n_regions, avg(cast(observed.value = earlier.value as integer)) as identical_share
from observed
inner join observed as earlier
    on observed.indicator_id = earlier.indicator_id
    and observed.region_code = earlier.region_code
    and observed.year = earlier.year + 1
group by observed.indicator_id, observed.year
having avg(cast(observed.value = earlier.value as integer)) >= (select method.audit_identical_share from meta.method as method)
    and count(*) >= (select method.n_twente from meta.method as method)
