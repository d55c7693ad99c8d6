-- Scores on the frozen ruler (method, par. 4): 100 + 10 * polarity * (g(x) - m) / s. A value beyond a
-- definition break cannot be laid on a ruler of before it: its score is null with reason 'break'.
-- grain: region_code, year, indicator_id
with base_era as (
    select distinct value.indicator_id, value.era
    from intermediate.indicator_value as value
    cross join catalogue.method as method
    where value.year = method.base_year and value.era is not null
),

transformed as (
    select
        value.*,
        indicator.dimension_id,
        indicator.unit,
        indicator.polarity,
        indicator.in_index,
        indicator.is_relative,
        case when indicator.in_index then indicator.weight else 0.0 end as weight,
        case indicator.transform
            when 'identity' then value.value
            when 'log' then case when value.value > 0 then ln(value.value) end
            when 'sqrt' then case when value.value >= 0 then sqrt(value.value) end
            when 'logit' then case when value.value > 0 and value.value < indicator.maximum
                then ln(value.value / (indicator.maximum - value.value)) end
        end as transformed,
        value.era is distinct from base_era.era as is_beyond_break,
        baseline.m,
        baseline.s
    from intermediate.indicator_value as value
    inner join catalogue.indicator as indicator on value.indicator_id = indicator.indicator_id
    left join base_era on value.indicator_id = base_era.indicator_id
    left join catalogue.baseline as baseline on value.indicator_id = baseline.indicator_id
)

select
    transformed.region_code,
    transformed.year,
    transformed.indicator_id,
    transformed.dimension_id,
    transformed.value,
    transformed.unit,
    case
        when transformed.is_beyond_break then null
        else method.score_centre + method.score_spread * transformed.polarity
            * (transformed.transformed - transformed.m) / transformed.s
    end as score,
    transformed.cell_status,
    case
        when transformed.value is null then transformed.missing_reason
        when transformed.m is null then 'no_base'
        when transformed.is_beyond_break then 'break'
    end as missing_reason,
    transformed.obs_first_year,
    transformed.obs_last_year,
    transformed.route,
    transformed.weight_covered_share,
    transformed.weight_proxy,
    transformed.publication_status,
    transformed.source_period,
    case when transformed.value is not null then transformed.snapshot_id end as snapshot_id,
    transformed.era,
    transformed.in_index,
    transformed.is_relative,
    transformed.weight
from transformed
cross join catalogue.method as method
