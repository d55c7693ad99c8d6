-- severity: critical
-- table: marts.btg_index
-- why: no variant of the factorial is missing for any of the 14 in 2019 and in the last index year
-- reason: an interval over fewer variants would look narrower than the method is; for a region of the product that may not be.
select btg_index.region_code, btg_index.year
from marts.btg_index as btg_index
cross join meta.method as method
where btg_index.is_twente
    and btg_index.year in (method.base_year, method.last_index_year)
    and (btg_index.rank_p05 is null or btg_index.score_p05 is null)
