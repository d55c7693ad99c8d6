-- grain: indicator_id
select
    indicator.indicator_id,
    indicator.dimension_id,
    indicator.label_nl,
    indicator.label_en,
    indicator.description_nl,
    indicator.description_en,
    indicator.answers,
    indicator.unit,
    indicator.polarity,
    indicator.polarity_reason,
    indicator.transform,
    indicator.weight,
    indicator.in_index,
    indicator.in_index_reason,
    indicator.is_relative,
    indicator.error_model,
    indicator.error_reason,
    indicator.source_id,
    indicator.num_table as table_id,
    indicator.topic_path,
    indicator.licence,
    indicator.warnings
from catalogue.indicator as indicator
inner join catalogue.dimension as dimension on indicator.dimension_id = dimension.dimension_id
order by dimension.position, indicator.in_index desc, indicator.indicator_id
