-- grain: edition_year, region_code
select
    survey.edition_year,
    survey.region_code,
    survey.grade,
    survey.statement_nl,
    survey.source
from catalogue.survey as survey
order by survey.edition_year, survey.region_code
