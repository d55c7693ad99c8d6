-- Which present municipality lies in which COROP area, province and country.
-- grain: region_code, municipality_code
with latest as (
    select area.municipality_code, area.corop_code, area.province_code
    from raw.area as area
    where area.year = (select max(newest.year) from raw.area as newest)
)

select latest.corop_code as region_code, latest.municipality_code
from latest
union all
select latest.province_code as region_code, latest.municipality_code
from latest
union all
select country.region_code, municipality.region_code as municipality_code
from catalogue.region as municipality
cross join catalogue.region as country
where municipality.region_level = 'gemeente' and country.region_level = 'land'
