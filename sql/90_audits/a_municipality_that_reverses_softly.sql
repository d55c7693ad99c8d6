-- severity: warning
-- table: marts.indicator_score
-- why: an observed cell off both neighbouring years, while these agree: beyond the lower limit, or in a series whose error model gives no standard error
-- reason: a register has no sampling error, yet a library moves and comes back; worth a look, no reason to stop.
-- The standard error is that of sql/40_macros/marts.reversal.sql.
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
where reversal.distance > method.audit_reversal_warning_errors * reversal.standard_error
    and (
        reversal.error_model not in ('poisson', 'empirical')
        or reversal.distance <= method.audit_reversal_errors * reversal.standard_error
    )
    and reversal.distance_between_neighbours <= method.audit_agreement_errors * reversal.standard_error
    and not reversal.is_reviewed
order by reversal.n_errors desc
