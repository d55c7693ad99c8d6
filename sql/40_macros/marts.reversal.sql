-- Observed cells of municipalities against their neighbouring years: how far they are off both.
-- Call in the opened file: from marts.reversal() where n_errors > 6;
-- A second difference d = x(t) - (x(t-1) + x(t+1)) / 2 is set against the standard error
--   se^2 = P + (c * level)^2 + (k * spread)^2, level = |x(t-1) + x(t+1)| / 2,
-- with P = (x(t) + (x(t-1) + x(t+1)) / 4) * persons / inhabitants for counted events (Poisson), else 0;
-- c = 1.4826 * median over municipalities and years of |d / level - median of the year|: the noise of
-- the series itself, because counts vary more than Poisson; the median of the year is the country's own
-- movement (the dip of 2020), which is no reversal of a municipality;
-- spread = interquartile range between municipalities / 1.349, k and all limits in meta.method.
-- A reversal that was looked at and is true stands in meta.known_issue (is_reviewed).
create or replace macro marts.reversal() as table
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
    judged.error_model,
    judged.before,
    judged.value,
    judged.after,
    abs(judged.departure) * judged.level as distance,
    abs(judged.after - judged.before) as distance_between_neighbours,
    judged.standard_error,
    abs(judged.departure) * judged.level / judged.standard_error as n_errors,
    exists (
        select 1
        from meta.known_issue as known_issue
        where known_issue.indicator_id = judged.indicator_id
            and known_issue.region_code = judged.region_code
            and known_issue.year = judged.year
            and known_issue.is_current
    ) as is_reviewed
from judged
