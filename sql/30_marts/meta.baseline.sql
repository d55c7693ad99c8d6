-- grain: method_version, indicator_id
select
    baseline.method_version,
    baseline.indicator_id,
    baseline.transform,
    baseline.m,
    baseline.s,
    baseline.clip_lo,
    baseline.clip_hi,
    baseline.n_units,
    baseline.base_years,
    baseline.left_out_of_aggregates,
    baseline.skewness,
    baseline.kurtosis,
    baseline.input_hash
from catalogue.baseline as baseline
order by baseline.method_version, baseline.indicator_id
