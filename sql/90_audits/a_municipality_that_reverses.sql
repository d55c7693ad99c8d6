-- severity: critical
-- table: marts.indicator_score
-- why: an observed cell far from both neighbouring years, while these agree, is a fault of one year until somebody has looked at it (corrections.yml, action keep)
-- reason: typing and booking errors in one year of one municipality pass every range check: vandalism in Schagen 2014 is 15.4 per 1 000 between 5.8 and 6.4.
-- A second difference d = x(t) - (x(t-1) + x(t+1)) / 2 is set against the standard error
--   se^2 = P + (c * level)^2 + (k * spread)^2, level = |x(t-1) + x(t+1)| / 2,
-- with P = (x(t) + (x(t-1) + x(t+1)) / 4) * persons / inhabitants for counted events (Poisson), else 0;
-- c = 1.4826 * median over municipalities and years of |d / level - median of the year|: the noise of
-- the series itself, because counts vary more than Poisson; the median of the year is the country's own
-- movement (the dip of 2020), which is no reversal of a municipality;
-- spread = interquartile range between municipalities / 1.349, k and all limits in meta.method.
-- Only error models that give a standard error block; the others are in the audit of soft reversals.
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
where judged.error_model in ('poisson', 'empirical')
    and abs(judged.departure) * judged.level > method.audit_reversal_errors * judged.standard_error
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
