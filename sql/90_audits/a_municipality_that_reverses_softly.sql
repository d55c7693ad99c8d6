-- severity: warning
-- table: marts.indicator_score
-- why: an observed cell off both neighbouring years, while these agree: beyond the lower limit, or in a series whose error model gives no standard error
-- reason: a register has no sampling error, yet a library moves and comes back; worth a look, no reason to stop.
-- Formula and limits as in a_municipality_that_reverses.sql.
with observed as (
    select score.indicator_id, score.region_code, score.year, score.value, indicator.error_model, region.population_base
    from marts.indicator_score as score
    inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id
    inner join meta.region as region on score.region_code = region.region_code
    where region.region_level = 'gemeente' and score.cell_status = 'observed'
),

neighbour as (
    select
        observed.*,
        lag(observed.value) over series as before,
        lead(observed.value) over series as after,
        lag(observed.year) over series as year_before,
        lead(observed.year) over series as year_after
    from observed
    window series as (partition by observed.indicator_id, observed.region_code order by observed.year)
),

second_difference as (
    select
        neighbour.*,
        neighbour.value - (neighbour.before + neighbour.after) / 2 as difference,
        abs(neighbour.before + neighbour.after) / 2 as level
    from neighbour
    where neighbour.year_before = neighbour.year - 1 and neighbour.year_after = neighbour.year + 1
        and neighbour.before + neighbour.after <> 0
),

centred as (
    select
        second_difference.*,
        second_difference.difference / second_difference.level
            - median(second_difference.difference / second_difference.level)
                over (partition by second_difference.indicator_id, second_difference.year) as departure,
        (quantile_cont(second_difference.value, 0.75) over (partition by second_difference.indicator_id, second_difference.year)
            - quantile_cont(second_difference.value, 0.25) over (partition by second_difference.indicator_id, second_difference.year))
            / 1.349 as spread
    from second_difference
),

noisy as (
    select
        centred.*,
        1.4826 * median(abs(centred.departure)) over (partition by centred.indicator_id) as noise
    from centred
),

judged as (
    select
        noisy.*,
        sqrt(
            case when noisy.error_model = 'poisson'
                then greatest(noisy.value + (noisy.before + noisy.after) / 4, 0) * method.audit_rate_persons / noisy.population_base
                else 0 end
            + (noisy.noise * noisy.level) ** 2
            + (method.audit_spread_share * noisy.spread) ** 2
        ) as standard_error
    from noisy
    cross join meta.method as method
)

select
    judged.region_code,
    judged.year,
    judged.indicator_id,
    judged.before,
    judged.value,
    judged.after,
    abs(judged.departure) * judged.level / judged.standard_error as n_errors
from judged
cross join meta.method as method
where abs(judged.departure) * judged.level > method.audit_reversal_warning_errors * judged.standard_error
    and (
        judged.error_model not in ('poisson', 'empirical')
        or abs(judged.departure) * judged.level <= method.audit_reversal_errors * judged.standard_error
    )
    and abs(judged.after - judged.before) <= method.audit_agreement_errors * judged.standard_error
    and not exists (
        select 1
        from meta.known_issue as known_issue
        where known_issue.indicator_id = judged.indicator_id
            and known_issue.region_code = judged.region_code
            and known_issue.year = judged.year
            and known_issue.is_current
    )
order by n_errors desc
