-- grain: region_code, year, indicator_id
select
    score.region_code,
    score.year,
    score.indicator_id,
    score.dimension_id,
    score.value,
    score.unit,
    score.score,
    score.cell_status,
    score.missing_reason,
    score.obs_first_year,
    score.obs_last_year,
    score.route,
    score.weight_covered_share,
    score.weight_proxy,
    score.publication_status,
    score.source_period,
    score.snapshot_id
from intermediate.indicator_score as score
order by score.region_code, score.year, score.dimension_id, score.indicator_id
