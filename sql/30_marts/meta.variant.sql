-- grain: variant_id
select
    variant.variant_id,
    variant.form,
    variant.weight_rule,
    variant.indicator_set,
    variant.ruler_weighting,
    variant.base_rule,
    variant.is_default
from uncertainty.variant as variant
order by variant.is_default desc, variant.variant_id
