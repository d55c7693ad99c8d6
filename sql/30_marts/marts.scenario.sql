-- grain: scenario_id, region_code, year
select
    scenario.scenario_id,
    scenario.region_code,
    scenario.year,
    scenario.score,
    scenario.rank as rank_scenario,
    scenario_loss.n_lost,
    scenario_loss.n_gained,
    scenario_loss.mean_abs_rank_shift
from uncertainty.scenario as scenario
inner join uncertainty.scenario_loss as scenario_loss
    on scenario.scenario_id = scenario_loss.scenario_id and scenario.year = scenario_loss.year
order by scenario.scenario_id, scenario.region_code, scenario.year
