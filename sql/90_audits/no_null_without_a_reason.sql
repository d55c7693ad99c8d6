-- severity: critical
-- table: marts.indicator_score
-- why: missing is null with a reason, and a reason stands only where something is missing
-- reason: the first question about an empty cell is why.
select score.region_code, score.year, score.indicator_id, score.missing_reason
from marts.indicator_score as score
where (score.score is null) <> (score.missing_reason is not null)
    or (score.value is null) <> (score.cell_status = 'missing')
union all
select btg_index.region_code, btg_index.year, 'index' as indicator_id, btg_index.null_reason
from marts.btg_index as btg_index
where (btg_index.score is null) <> (btg_index.null_reason is not null)
union all
select dimension_score.region_code, dimension_score.year, dimension_score.dimension_id, dimension_score.null_reason
from marts.dimension_score as dimension_score
where (dimension_score.score is null) <> (dimension_score.null_reason is not null)
