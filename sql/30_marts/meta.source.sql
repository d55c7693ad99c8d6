-- grain: source_id, table_id
select
    source_state.source_id,
    source_state.source_name,
    source_state.table_id,
    source_state.title,
    source_state.state,
    source_state.state_message,
    cast(source_state.checked_at as timestamp) as checked_at,
    cast(source_state.changed_at as timestamp) as changed_at,
    source_state.source_modified,
    source_state.period_max,
    source_state.max_age_days,
    source_state.snapshot_id,
    source_state.origin,
    source_state.licence,
    source_state.attribution,
    source_state.landing_page,
    source_state.note
from raw.source_state as source_state
order by source_state.source_id, source_state.table_id
