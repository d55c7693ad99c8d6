-- grain: dimension_id
select
    dimension.dimension_id,
    dimension.position,
    dimension.label_nl,
    dimension.label_en,
    dimension.question_nl,
    dimension.weight,
    count(indicator.indicator_id) as n_indicators,
    count(indicator.indicator_id) < 3 as is_thin,
    dimension.thin_reason
from catalogue.dimension as dimension
left join catalogue.indicator as indicator
    on dimension.dimension_id = indicator.dimension_id and indicator.in_index
group by
    dimension.dimension_id, dimension.position, dimension.label_nl, dimension.label_en,
    dimension.question_nl, dimension.weight, dimension.thin_reason
order by dimension.position
