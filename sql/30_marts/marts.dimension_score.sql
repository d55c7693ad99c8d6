-- grain: region_code, year, dimension_id
select
    dimension_score.region_code,
    dimension_score.year,
    dimension_score.dimension_id,
    dimension_score.score,
    dimension_score.null_reason,
    dimension_score.coverage_share,
    dimension_score.provisional_share,
    dimension_score.status_unknown_share,
    dimension_score.imputed_share
from intermediate.dimension_score as dimension_score
inner join catalogue.dimension as dimension on dimension_score.dimension_id = dimension.dimension_id
order by dimension_score.region_code, dimension_score.year, dimension.position
