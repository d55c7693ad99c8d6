-- grain: region_code, year, level, item_id, base_rule
select
    infeasible.region_code,
    infeasible.year,
    infeasible.level,
    infeasible.item_id,
    infeasible.base_rule,
    infeasible.goalpost_score
from uncertainty.infeasible as infeasible
order by infeasible.region_code, infeasible.year, infeasible.level, infeasible.item_id, infeasible.base_rule
