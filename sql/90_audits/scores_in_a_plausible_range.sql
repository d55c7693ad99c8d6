-- severity: critical
-- table: marts.indicator_score
-- why: an index far from the centre, or an observed indicator score beyond 30 standard deviations that nobody has looked at (corrections.yml, action keep), is a fault of unit or comma
-- reason: a table that went from EUR to kEUR is within the range of another one; on the ruler it is 100 points off.
select btg_index.region_code, btg_index.year, 'index' as item_id, btg_index.score
from marts.btg_index as btg_index
cross join meta.method as method
where not isfinite(btg_index.score) or abs(btg_index.score - method.score_centre) > method.audit_index_distance
union all
select score.region_code, score.year, score.indicator_id, score.score
from marts.indicator_score as score
cross join meta.method as method
where score.cell_status = 'observed'
    and (not isfinite(score.score) or abs(score.score - method.score_centre) > method.audit_score_distance)
    and not exists (
        select 1 from meta.known_issue as known_issue
        where known_issue.indicator_id = score.indicator_id
            and known_issue.region_code = score.region_code
            and known_issue.year = score.year
            and known_issue.is_current
    )
