-- severity: warning
-- table: marts.indicator_score
-- why: two years on one level and the next two on another, far beyond the noise of the series and with no break in the catalogue: a change of definition or of borders may have gone unseen
-- reason: child care on Schiermonnikoog went from 22.7 km to 0.5 km in 2018 and stayed; such a step is either true or a break that the catalogue must name.
-- Standard error as in sql/40_macros/marts.reversal.sql without its Poisson part, from the differences between the years.
with observed as (
    select score.indicator_id, score.region_code, score.year, score.value
    from marts.indicator_score as score
    inner join meta.region as region on score.region_code = region.region_code
    where region.region_level = 'gemeente' and score.cell_status = 'observed'
),

run_of_four as (
    select
        observed.*,
        lag(observed.value, 2) over series as first_value,
        lag(observed.value, 1) over series as second_value,
        lead(observed.value, 1) over series as fourth_value,
        lead(observed.year, 1) over series - lag(observed.year, 2) over series as n_years
    from observed
    window series as (partition by observed.indicator_id, observed.region_code order by observed.year)
),

step as (
    select
        run_of_four.*,
        (run_of_four.value + run_of_four.fourth_value) / 2 - (run_of_four.first_value + run_of_four.second_value) / 2 as difference,
        greatest(abs(run_of_four.second_value - run_of_four.first_value), abs(run_of_four.fourth_value - run_of_four.value)) as unrest,
        abs(run_of_four.first_value + run_of_four.second_value + run_of_four.value + run_of_four.fourth_value) / 4 as level
    from run_of_four
    where run_of_four.n_years = 3
),

centred as (
    select
        step.*,
        step.difference / nullif(step.level, 0)
            - median(step.difference / nullif(step.level, 0)) over (partition by step.indicator_id, step.year) as departure,
        (quantile_cont(step.value, 0.75) over (partition by step.indicator_id, step.year)
            - quantile_cont(step.value, 0.25) over (partition by step.indicator_id, step.year)) / 1.349 as spread
    from step
),

judged as (
    select
        centred.*,
        sqrt(
            (1.4826 * median(abs(centred.departure)) over (partition by centred.indicator_id) * centred.level) ** 2
            + (method.audit_spread_share * centred.spread) ** 2
        ) as standard_error
    from centred
    cross join meta.method as method
)

select
    judged.region_code,
    judged.year,
    judged.indicator_id,
    judged.second_value as before,
    judged.value,
    abs(judged.departure) * judged.level / judged.standard_error as n_errors
from judged
cross join meta.method as method
where abs(judged.departure) * judged.level > method.audit_step_errors * judged.standard_error
    and judged.unrest <= method.audit_agreement_errors * judged.standard_error
    and not exists (
        select 1 from meta.break as break
        where break.indicator_id = judged.indicator_id and break.year = judged.year
    )
    and not exists (
        select 1 from meta.known_issue as known_issue
        where known_issue.indicator_id = judged.indicator_id
            and known_issue.region_code = judged.region_code
            and known_issue.year = judged.year
            and known_issue.is_current
    )
order by n_errors desc
