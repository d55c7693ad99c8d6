-- severity: critical
-- table: marts.dimension_score
-- why: each of the 14 has all eleven dimensions in 2019 and in the last index year
-- reason: Losser and Tubbergen are blank in the survey series; a dimension that rests on it alone would silently leave them out.
select dimension_score.region_code, dimension_score.year, dimension_score.dimension_id
from marts.dimension_score as dimension_score
inner join meta.region as region on dimension_score.region_code = region.region_code
cross join meta.method as method
where region.is_twente
    and dimension_score.year in (method.base_year, method.last_index_year)
    and dimension_score.score is null
