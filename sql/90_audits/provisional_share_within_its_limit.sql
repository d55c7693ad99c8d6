-- severity: warning
-- table: marts.btg_index
-- why: an index that rests mostly on provisional figures is published, but must be said to be so
-- reason: provisional figures of the police move by a few percent when they become final.
select btg_index.region_code, btg_index.year, btg_index.provisional_share
from marts.btg_index as btg_index
cross join meta.method as method
where btg_index.provisional_share > method.audit_provisional_share
