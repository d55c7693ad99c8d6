-- severity: critical
-- table: meta.region
-- why: a region code in a mart that meta.region does not have has no name, level or members
-- reason: a municipality under a code of before a merger would count twice in the country.
with used as (
    select distinct btg_index.region_code from marts.btg_index as btg_index
    union
    select distinct dimension_score.region_code from marts.dimension_score as dimension_score
    union
    select distinct score.region_code from marts.indicator_score as score
    union
    select distinct change.region_code from marts.change_since_2019 as change
    union
    select distinct contribution.region_code from marts.change_contribution as contribution
)

select used.region_code
from used
left join meta.region as region on used.region_code = region.region_code
where region.region_code is null
order by used.region_code
