"""A catalogue that contradicts its schema or itself is an error that names file and entry."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from btg.catalogue.loader import CATALOGUE_DIR, Catalogue, load_catalogue
from btg.errors import CatalogueError

FILES = sorted(path.relative_to(CATALOGUE_DIR).as_posix() for path in CATALOGUE_DIR.rglob("*.yml"))
Data = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the catalogue that a test may spoil."""
    target = tmp_path / "catalogue"
    shutil.copytree(CATALOGUE_DIR, target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return target


def change(folder: Path, file: str, edit: Callable[[Data], None]) -> None:
    """Rewrite a file of the catalogue with an edit of its content."""
    path = folder / file
    data = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    edit(data)
    text = yaml.dump(data, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False)
    path.write_text(text, encoding="utf-8")


def entry(entries: list[Data], name: str) -> Data:
    return next(e for e in entries if name in (e.get("id"), e.get("code")))


def indicator(data: Data, name: str) -> Data:
    return entry(data["indicators"], name)


def first_entry(data: Data) -> Data:
    """Return the first entry of a file, however its entries are grouped."""
    for value in data.values():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            first: Data = value[0]
            return first
        if isinstance(value, dict):
            entries = [entry for entry in value.values() if isinstance(entry, dict)]
            return entries[0] if entries else value
    return data


def test_the_catalogue_of_the_package_is_consistent(catalogue: Catalogue) -> None:
    assert len(catalogue.dimensions) == 11
    assert len(catalogue.twente()) == 14


def test_a_copy_of_the_catalogue_says_the_same(folder: Path, catalogue: Catalogue) -> None:
    again = load_catalogue(folder)
    assert again.indicators == catalogue.indicators
    assert again.tables == catalogue.tables
    assert again.regions == catalogue.regions
    assert again.method == catalogue.method


@pytest.mark.parametrize("file", FILES)
def test_an_unknown_key_is_an_error_that_names_file_and_key(folder: Path, file: str) -> None:
    path = folder / file
    path.write_text(path.read_text(encoding="utf-8") + "\nwieght: 1\n", encoding="utf-8")
    with pytest.raises(CatalogueError, match=rf"{path.name}: wieght: unknown key"):
        load_catalogue(folder)


@pytest.mark.parametrize("file", FILES)
def test_an_unknown_key_in_an_entry_is_an_error_that_names_the_file(
    folder: Path, file: str
) -> None:
    def spoil(data: Data) -> None:
        first_entry(data)["wieght"] = 1

    change(folder, file, spoil)
    with pytest.raises(CatalogueError, match=rf"{(folder / file).name}: .*wieght.*: unknown key"):
        load_catalogue(folder)


@pytest.mark.parametrize("file", FILES)
def test_the_same_key_twice_is_an_error_that_names_file_and_key(folder: Path, file: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    match = re.search(r"^([a-z_]+):", text, re.MULTILINE)
    assert match is not None
    path.write_text(f"{text}\n{match.group(1)}: twice\n", encoding="utf-8")
    with pytest.raises(
        CatalogueError, match=rf"(?s){path.name}: .*'{match.group(1)}' occurs twice"
    ):
        load_catalogue(folder)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_an_error_that_names_it(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(CatalogueError, match=rf"{(folder / file).name}: cannot be read"):
        load_catalogue(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"method_version: [", "method.yml: not valid YAML"),
        (b"", "method.yml: "),
        (b"- a list\n", "method.yml: "),
        (b"{[1]: 2}\n", r"method.yml: not valid YAML: .*cannot be a key"),
        (b"base_year: 2019-13-45\n", "method.yml: not valid YAML"),
        (b"method_version: \xff\n", "method.yml: is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(
    folder: Path, content: bytes, message: str
) -> None:
    (folder / "method.yml").write_bytes(content)
    with pytest.raises(CatalogueError, match=f"(?s){message}"):
        load_catalogue(folder)


def test_a_missing_setting_is_an_error_that_names_it(folder: Path) -> None:
    change(folder, "method.yml", lambda d: d.pop("carry_years"))
    with pytest.raises(CatalogueError, match=r"method.yml: carry_years: Field required"):
        load_catalogue(folder)


def test_a_value_of_the_wrong_type_is_not_guessed(folder: Path) -> None:
    change(folder, "method.yml", lambda d: d.update(carry_years="2"))
    with pytest.raises(CatalogueError, match=r"method.yml: carry_years: .*integer"):
        load_catalogue(folder)


def test_years_of_the_method_that_contradict_each_other_are_an_error(folder: Path) -> None:
    change(folder, "method.yml", lambda d: d.update(grid_first_year=2020))
    with pytest.raises(CatalogueError, match=r"method.yml: .*grid_first_year 2020, base_year 2019"):
        load_catalogue(folder)


def test_a_file_of_no_dimension_is_an_error(folder: Path) -> None:
    shutil.copyfile(folder / "indicators/milieu.yml", folder / "indicators/natuur.yml")
    with pytest.raises(CatalogueError, match=r"indicators/natuur.yml: there is no dimension"):
        load_catalogue(folder)


def test_an_indicator_in_the_file_of_another_dimension_is_an_error(folder: Path) -> None:
    change(
        folder,
        "indicators/milieu.yml",
        lambda d: indicator(d, "broeikasgas").update(dimension="inkomen"),
    )
    with pytest.raises(CatalogueError, match=r"milieu.yml: indicator broeikasgas .*'inkomen'"):
        load_catalogue(folder)


# ---- weights


@pytest.mark.parametrize("weight", [0.26, 0.24, 0.25 + 2e-9])
def test_weights_that_do_not_sum_to_one_name_every_indicator_of_the_dimension(
    folder: Path, weight: float
) -> None:
    change(
        folder,
        "indicators/veiligheid.yml",
        lambda d: indicator(d, "vernieling").update(weight=weight),
    )
    with pytest.raises(CatalogueError, match=r"indicators/veiligheid.yml: .*not to 1") as caught:
        load_catalogue(folder)
    for name in ("misdrijven", "woninginbraak", "mishandeling", "vernieling"):
        assert name in str(caught.value)


def test_weights_of_dimensions_that_do_not_sum_to_one_are_an_error(folder: Path) -> None:
    change(folder, "dimensions.yml", lambda d: entry(d["dimensions"], "milieu").update(weight=0.1))
    with pytest.raises(CatalogueError, match=r"dimensions.yml: weights sum to 1.009"):
        load_catalogue(folder)


def test_an_indicator_of_the_index_without_weight_is_an_error(folder: Path) -> None:
    change(
        folder, "indicators/milieu.yml", lambda d: indicator(d, "zonnestroom").update(weight=0.0)
    )
    with pytest.raises(CatalogueError, match=r"milieu.yml: .*zonnestroom.*has no weight"):
        load_catalogue(folder)


def test_a_context_indicator_with_a_weight_is_an_error(folder: Path) -> None:
    change(folder, "indicators/milieu.yml", lambda d: indicator(d, "fijnstof").update(weight=0.1))
    with pytest.raises(CatalogueError, match=r"milieu.yml: .*fijnstof.*has a weight"):
        load_catalogue(folder)


def test_a_dimension_on_few_indicators_must_say_why(folder: Path) -> None:
    change(
        folder,
        "dimensions.yml",
        lambda d: entry(d["dimensions"], "milieu").pop("thin_reason"),
    )
    with pytest.raises(CatalogueError, match=r"dimensions.yml: milieu rests on 2 indicators"):
        load_catalogue(folder)


@pytest.mark.parametrize("polarity", [0, 2, -2])
def test_a_polarity_is_plus_or_minus_one(folder: Path, polarity: int) -> None:
    change(
        folder,
        "indicators/milieu.yml",
        lambda d: indicator(d, "zonnestroom").update(polarity=polarity),
    )
    with pytest.raises(CatalogueError, match=r"milieu.yml: .*polarity \(zonnestroom\)"):
        load_catalogue(folder)


def test_an_unknown_transform_is_an_error_that_names_the_indicator(folder: Path) -> None:
    change(
        folder,
        "indicators/milieu.yml",
        lambda d: indicator(d, "zonnestroom").update(transform="cube"),
    )
    with pytest.raises(CatalogueError, match=r"milieu.yml: .*transform \(zonnestroom\)"):
        load_catalogue(folder)


# ---- money


def test_nominal_euros_do_not_enter_the_index(folder: Path) -> None:
    def spoil(data: Data) -> None:
        indicator(data, "vermogen_mediaan").update(relative=False)

    change(folder, "indicators/inkomen.yml", spoil)
    with pytest.raises(
        CatalogueError, match=r"indicators/inkomen.yml: vermogen_mediaan brings nominal euros"
    ):
        load_catalogue(folder)


def test_nominal_euros_per_head_are_still_nominal(folder: Path) -> None:
    def spoil(data: Data) -> None:
        indicator(data, "vermogen_mediaan").update(
            relative=False, denominator="bevolking_gemiddeld"
        )

    change(folder, "indicators/inkomen.yml", spoil)
    with pytest.raises(CatalogueError, match=r"vermogen_mediaan brings nominal euros"):
        load_catalogue(folder)


def test_a_count_per_nominal_euro_is_nominal_too(folder: Path) -> None:
    def spoil(data: Data) -> None:
        price = indicator(data, "huisprijs_inkomen")
        price["numerator"] = {"table": "70072ned", "measure": "huishoudens"}

    change(folder, "indicators/huisvesting.yml", spoil)
    with pytest.raises(CatalogueError, match=r"huisprijs_inkomen brings nominal euros"):
        load_catalogue(folder)


@pytest.mark.parametrize("unit", ["euro", "1 000 euro", "mln euro", "Euro per huishouden", "€"])
def test_every_unit_with_euros_and_no_year_of_prices_is_nominal(folder: Path, unit: str) -> None:
    def spoil(data: Data) -> None:
        table = entry(data["tables"], "rmbw_2023")
        entry(table["measures"], "mediaan_inkomen")["unit"] = unit

    change(folder, "sources.yml", spoil)
    with pytest.raises(CatalogueError, match=r"inkomen_mediaan brings nominal euros"):
        load_catalogue(folder)


def test_nominal_euros_may_stand_beside_the_index(catalogue: Catalogue) -> None:
    context = next(i for i in catalogue.indicators if i.id == "schuld_gemiddeld")
    assert not context.in_index


# ---- references


def test_an_unknown_measure_is_an_error_that_names_file_indicator_and_measure(
    folder: Path,
) -> None:
    change(
        folder,
        "indicators/milieu.yml",
        lambda d: indicator(d, "zonnestroom")["numerator"].update(measure="zonnestrom"),
    )
    with pytest.raises(
        CatalogueError,
        match=r"indicators/milieu.yml: zonnestroom: numerator: .*'rmbw_2023'.*'zonnestrom'",
    ):
        load_catalogue(folder)


def test_an_unknown_denominator_is_an_error_that_names_the_indicator(folder: Path) -> None:
    change(
        folder,
        "indicators/veiligheid.yml",
        lambda d: indicator(d, "vernieling").update(denominator="bevolking"),
    )
    with pytest.raises(
        CatalogueError, match=r"veiligheid.yml: vernieling: denominator 'bevolking'"
    ):
        load_catalogue(folder)


def test_a_figure_of_a_table_that_is_not_in_use_is_an_error(folder: Path) -> None:
    change(
        folder, "sources.yml", lambda d: entry(d["tables"], "83625NED").update(status="declared")
    )
    with pytest.raises(CatalogueError, match=r"huisprijs_inkomen: numerator: no table in use"):
        load_catalogue(folder)


def test_a_support_series_of_no_table_is_an_error(folder: Path) -> None:
    change(
        folder,
        "support.yml",
        lambda d: d["series"][0]["measures"][0].update(measure="bevolking"),
    )
    with pytest.raises(CatalogueError, match=r"support.yml: series bevolking_gemiddeld"):
        load_catalogue(folder)


def test_an_indicator_with_a_name_that_is_taken_is_an_error(folder: Path) -> None:
    change(
        folder,
        "indicators/milieu.yml",
        lambda d: indicator(d, "fijnstof").update(id="broeikasgas"),
    )
    with pytest.raises(CatalogueError, match=r"indicator broeikasgas occurs more than once"):
        load_catalogue(folder)


# ---- tables


def table_change(**fields: Any) -> Callable[[Data], None]:
    return lambda data: entry(data["tables"], "47018NED").update(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"source_id": "polite"}, r"table 47018NED: source_id 'polite' is not a source"),
        ({"source_id": "rmbw"}, r"table 47018NED: kind odata_v3 cannot come from service file"),
        ({"kind": "edition_file"}, r"table 47018NED: kind and file contradict"),
        ({"time_dimension": None}, r"table 47018NED: give either time_dimension or only_year"),
        ({"only_year": 2020}, r"table 47018NED: give either time_dimension or only_year"),
        (
            {"selection": {"SoortMisdrijf": ["1.1.1"]}},
            r"47018NED: measure mishandeling must select",
        ),
        ({"selection": {}}, r"47018NED: measure woninginbraak selects in unknown"),
        ({"borders": 1850}, r"table 47018NED: no borders of 1850 are known"),
        ({"title_pattern": "misdrijven ("}, r"47018NED: title_pattern is not a regular expression"),
        ({"title_pattern": "misdrijven"}, r"47018NED: title_pattern must have one group"),
        ({"region_levels": ["buurt"]}, r"sources.yml: .*region_levels.*47018NED"),
        (
            {"status_rule": {"kind": "perioden_prose", "groups": {"inbraak": ["inbraak"]}}},
            r"table 47018NED: status group 'inbraak' names \['inbraak'\]",
        ),
    ],
)
def test_a_table_that_contradicts_itself_is_an_error_that_names_it(
    folder: Path, fields: Data, message: str
) -> None:
    change(folder, "sources.yml", table_change(**fields))
    with pytest.raises(CatalogueError, match=message):
        load_catalogue(folder)


def test_two_tables_of_one_name_are_an_error(folder: Path) -> None:
    change(folder, "sources.yml", table_change(id="50090NED"))
    with pytest.raises(CatalogueError, match=r"sources.yml: table 50090NED occurs more than once"):
        load_catalogue(folder)


def test_two_measures_of_one_name_in_a_table_are_an_error(folder: Path) -> None:
    def spoil(data: Data) -> None:
        entry(data["tables"], "47018NED")["measures"][1]["id"] = "woninginbraak"

    change(folder, "sources.yml", spoil)
    with pytest.raises(CatalogueError, match=r"47018NED: measure woninginbraak occurs more than"):
        load_catalogue(folder)


def test_a_measure_of_an_edition_file_names_a_column_of_its_header(folder: Path) -> None:
    def spoil(data: Data) -> None:
        entry(data["tables"], "verkiezingen")["measures"][0]["path"] = ["stemmers"]

    change(folder, "sources.yml", spoil)
    with pytest.raises(CatalogueError, match=r"verkiezingen: measure kiesgerechtigden .*stemmers"):
        load_catalogue(folder)


def test_the_period_pattern_of_an_edition_file_holds_the_year(folder: Path) -> None:
    def spoil(data: Data) -> None:
        entry(data["tables"], "verkiezingen")["file"]["period_pattern"] = "^TK[0-9]{4}$"

    change(folder, "sources.yml", spoil)
    with pytest.raises(CatalogueError, match=r"verkiezingen: period_pattern must have one group"):
        load_catalogue(folder)


# ---- regions


def change_of(data: Data, code: str) -> Data:
    return next(c for c in data["changes"] if code in c["from"])


def test_shares_of_a_split_that_do_not_sum_to_one_are_an_error(folder: Path) -> None:
    change(folder, "regions.yml", lambda d: change_of(d, "GM0788")["to"][0].update(share=0.3))
    with pytest.raises(CatalogueError, match=r"regions.yml: change of 2021 of GM0788: shares sum"):
        load_catalogue(folder)


def test_a_split_with_an_unknown_share_is_allowed(folder: Path) -> None:
    change(folder, "regions.yml", lambda d: change_of(d, "GM0788")["to"][0].update(share=None))
    load_catalogue(folder)


def test_a_municipality_that_ends_without_a_change_is_an_error(folder: Path) -> None:
    change(folder, "regions.yml", lambda d: d["changes"].remove(change_of(d, "GM0457")))
    with pytest.raises(CatalogueError, match=r"regions.yml: GM0457 exists to 2022, but no change"):
        load_catalogue(folder)


def test_a_change_to_a_municipality_that_does_not_exist_is_an_error(folder: Path) -> None:
    change(folder, "regions.yml", lambda d: change_of(d, "GM0457")["to"][0].update(code="GM0457"))
    with pytest.raises(CatalogueError, match=r"change of 2023 of GM0457: GM0457 does not exist"):
        load_catalogue(folder)


def test_a_change_in_another_year_than_the_end_of_the_code_is_an_error(folder: Path) -> None:
    change(folder, "regions.yml", lambda d: change_of(d, "GM0457").update(year=2022))
    with pytest.raises(CatalogueError, match=r"last_year of GM0457 is not 2021"):
        load_catalogue(folder)


def test_a_code_that_ends_twice_is_an_error(folder: Path) -> None:
    change(folder, "regions.yml", lambda d: d["changes"].append(dict(change_of(d, "GM0457"))))
    with pytest.raises(CatalogueError, match=r"end of GM0457 in 2023 occurs more than once"):
        load_catalogue(folder)


def test_a_region_with_a_code_that_is_taken_is_an_error(folder: Path) -> None:
    change(folder, "regions.yml", lambda d: d["corop_areas"][0].update(code="CR12"))
    with pytest.raises(CatalogueError, match=r"regions.yml: region CR12 occurs more than once"):
        load_catalogue(folder)


def test_a_code_that_is_no_region_code_is_an_error(folder: Path) -> None:
    change(folder, "regions.yml", lambda d: d["municipalities"][0].update(code="0153"))
    with pytest.raises(CatalogueError, match=r"regions.yml: municipalities.0.code"):
        load_catalogue(folder)


def test_twente_consists_of_present_municipalities(folder: Path) -> None:
    change(folder, "regions.yml", lambda d: d["twente"]["municipalities"].append("GM0457"))
    with pytest.raises(CatalogueError, match=r"regions.yml: Twente names GM0457"):
        load_catalogue(folder)


def test_twente_has_as_many_municipalities_as_the_method_says(folder: Path) -> None:
    change(folder, "regions.yml", lambda d: d["twente"]["municipalities"].remove("GM0153"))
    with pytest.raises(CatalogueError, match=r"regions.yml: Twente has 13 municipalities"):
        load_catalogue(folder)


def test_twente_lies_in_regions_that_exist(folder: Path) -> None:
    change(folder, "regions.yml", lambda d: d["twente"].update(corop_code="CR99"))
    with pytest.raises(CatalogueError, match=r"regions.yml: Twente lies in CR99"):
        load_catalogue(folder)


# ---- what stands beside


def test_an_exclusion_of_no_dimension_is_an_error(folder: Path) -> None:
    change(folder, "exclusions.yml", lambda d: d["exclusions"][0].update(dimension="geluk"))
    with pytest.raises(CatalogueError, match=r"exclusions.yml: .*there is no dimension 'geluk'"):
        load_catalogue(folder)


def test_a_survey_figure_of_no_region_is_an_error(folder: Path) -> None:
    change(folder, "survey.yml", lambda d: d["figures"][0].update(region_code="GM9999"))
    with pytest.raises(CatalogueError, match=r"survey.yml: edition 2022: GM9999 is no region"):
        load_catalogue(folder)


def test_a_declared_table_of_no_source_is_an_error(folder: Path) -> None:
    change(folder, "declared.yml", lambda d: d["tables"][0].update(source_id="nobody"))
    with pytest.raises(CatalogueError, match=r"declared.yml: .*'nobody' is not a source"):
        load_catalogue(folder)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("columns", r"dictionary.yml: table marts.btg_index: column 'mood' has no entry"),
        ("grain", r"dictionary.yml: table marts.btg_index: 'mood' is not one of its columns"),
        ("not_null", r"dictionary.yml: table marts.btg_index: 'mood' is not one of its columns"),
    ],
)
def test_a_column_that_the_dictionary_does_not_know_is_an_error(
    folder: Path, part: str, message: str
) -> None:
    change(folder, "dictionary.yml", lambda d: d["tables"]["marts.btg_index"][part].append("mood"))
    with pytest.raises(CatalogueError, match=message):
        load_catalogue(folder)
