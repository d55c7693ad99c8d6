-- severity: critical
-- table: marts.indicator_score
-- why: the base of an indicator rests on the same observation years in nearly all municipalities
-- reason: half of the country on 2018 and half on 2020 makes a difference between municipalities that is one between years.
with base as (
    select score.indicator_id, score.obs_first_year, score.obs_last_year, count(*) as n_regions
    from marts.indicator_score as score
    inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id
    inner join meta.region as region on score.region_code = region.region_code
    cross join meta.method as method
    where region.region_level = 'gemeente' and indicator.in_index
        and score.year = method.base_year and score.value is not null
    group by score.indicator_id, score.obs_first_year, score.obs_last_year
)

select base.indicator_id, count(*) as n_bases, 1 - max(base.n_regions) / sum(base.n_regions) as mixed_share
from base
group by base.indicator_id
having 1 - max(base.n_regions) / sum(base.n_regions) > (select method.audit_mixed_base_share from meta.method as method)
