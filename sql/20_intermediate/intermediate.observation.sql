-- The observed value of every indicator: factor * numerator / denominator, with the weight that
-- the value carries in a larger region (its own denominator, else inhabitants as a proxy).
-- grain: indicator_id, region_code, year
with quotient as (
    select
        indicator.indicator_id,
        indicator.is_relative,
        numerator.region_code,
        numerator.year,
        case
            when indicator.den_kind is null then indicator.factor * numerator.value
            when indicator.den_kind = 'support' then indicator.factor * numerator.value / nullif(support.value, 0)
            else indicator.factor * numerator.value / nullif(denominator.value, 0)
        end as value,
        case
            when indicator.den_kind is null then population.value
            when indicator.den_kind = 'support' then support.value
            when indicator.den_kind = 'sum' then denominator.value
            else denominator.value * population.value
        end as weight,
        case
            when indicator.den_kind in ('support', 'sum') then null
            else 'bevolking'
        end as weight_proxy,
        case
            when numerator.missing_reason is not null then numerator.missing_reason
            else denominator.missing_reason
        end as missing_reason,
        list_sort(list_filter(
            [numerator.publication_status, denominator.publication_status, support.publication_status],
            lambda status: status is not null
        )) as statuses,
        numerator.source_period,
        numerator.snapshot_id
    from catalogue.indicator as indicator
    inner join intermediate.measure as numerator
        on indicator.num_table = numerator.table_id
        and indicator.num_measure = numerator.measure_id
    left join intermediate.measure as denominator
        on indicator.den_table = denominator.table_id
        and indicator.den_measure = denominator.measure_id
        and numerator.region_code = denominator.region_code
        and numerator.year = denominator.year
    left join intermediate.support as support
        on indicator.den_support = support.series_id
        and numerator.region_code = support.region_code
        and numerator.year = support.year
    left join intermediate.support as population
        on population.series_id = (select method.population_weight from catalogue.method as method)
        and numerator.region_code = population.region_code
        and numerator.year = population.year
),

national as (
    select
        quotient.indicator_id,
        quotient.year,
        sum(quotient.weight * quotient.value) / sum(quotient.weight) as value
    from quotient
    where quotient.is_relative and quotient.region_code like 'GM%' and quotient.value is not null
        and quotient.weight is not null
    group by quotient.indicator_id, quotient.year
)

select
    quotient.indicator_id,
    quotient.region_code,
    quotient.year,
    case
        when quotient.is_relative then quotient.value / nullif(national.value, 0)
        else quotient.value
    end as value,
    quotient.weight,
    quotient.weight_proxy,
    quotient.missing_reason,
    -- the least final of the parts; unknown never counts as final
    case
        when list_contains(quotient.statuses, 'onbekend') then 'onbekend'
        when list_contains(quotient.statuses, 'voorlopig') then 'voorlopig'
        when list_contains(quotient.statuses, 'nader_voorlopig') then 'nader_voorlopig'
        else 'definitief'
    end as publication_status,
    quotient.source_period,
    quotient.snapshot_id
from quotient
left join national
    on quotient.indicator_id = national.indicator_id
    and quotient.year = national.year
-- a relative value of a larger region can only be aggregated: its divisor is aggregated too
where quotient.region_code like 'GM%' or not quotient.is_relative
