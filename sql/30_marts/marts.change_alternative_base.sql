-- grain: base_years, region_code, year, level, item_id
select
    alternative_base.base_years,
    alternative_base.region_code,
    alternative_base.year,
    alternative_base.level,
    alternative_base.item_id,
    alternative_base.matched_change
from uncertainty.alternative_base as alternative_base
where alternative_base.matched_change is not null
order by
    alternative_base.base_years, alternative_base.region_code, alternative_base.year,
    alternative_base.level, alternative_base.item_id
