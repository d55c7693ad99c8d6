-- grain: snapshot_id
select
    accepted.snapshot_id,
    accepted.source_id,
    accepted.table_id,
    accepted.title,
    accepted.origin,
    accepted.origin_note,
    cast(accepted.retrieved_at as timestamp) as retrieved_at,
    accepted.source_modified,
    accepted.n_rows,
    accepted.content_hash,
    accepted.request,
    accepted.licence,
    accepted.attribution
from raw.accepted as accepted
order by accepted.source_id, accepted.table_id
