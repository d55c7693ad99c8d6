-- severity: critical
-- table: marts.indicator_score
-- why: an observed cell far from both neighbouring years, while these agree, is a fault of one year until somebody has looked at it (corrections.yml, action keep)
-- reason: typing and booking errors in one year of one municipality pass every range check: vandalism in Schagen 2014 is 15.4 per 1 000 between 5.8 and 6.4.
-- The standard error is that of sql/40_macros/marts.reversal.sql.
-- Only error models that give a standard error block; the others are in the audit of soft reversals.
select
    reversal.region_code,
    reversal.year,
    reversal.indicator_id,
    reversal.before,
    reversal.value,
    reversal.after,
    reversal.n_errors
from marts.reversal() as reversal
cross join meta.method as method
where reversal.error_model in ('poisson', 'empirical')
    and reversal.distance > method.audit_reversal_errors * reversal.standard_error
    and reversal.distance_between_neighbours <= method.audit_agreement_errors * reversal.standard_error
    and not reversal.is_reviewed
order by reversal.n_errors desc
