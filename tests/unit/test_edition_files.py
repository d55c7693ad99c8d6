"""An edition file is read in the agreed form only; an error names the file and the place in it."""

from pathlib import Path

import polars as pl
import pytest

from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Table
from btg.errors import ContractError, SourceAnswerError, SourceUnreachableError
from btg.sources.files import EditionFileSource, read_edition
from btg.sources.protocol import DATA_ENTITY

HEADER = "indicator_code,statcode,statnaam,year,value"
ROW = "01_KL_H_01,GM0153,Enschede,2019,84.5"


@pytest.fixture
def table(catalogue: Catalogue) -> Table:
    return catalogue.table("rmbw_2023")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rmbw-2024.csv"


def refused(table: Table, file: Path, *lines: str) -> ContractError:
    """Return the error with which a file of these lines is refused."""
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        read_edition(table, file)
    assert file.name in str(caught.value)
    assert table.id in str(caught.value)
    return caught.value


def test_the_agreed_form_is_read_with_its_types(table: Table, file: Path) -> None:
    file.write_text(f"{HEADER}\n{ROW}\n01_KL_H_01,GM0141,Almelo,2019,\n", encoding="utf-8")
    frame = read_edition(table, file)
    assert frame.schema == {
        "indicator_code": pl.String,
        "statcode": pl.String,
        "statnaam": pl.String,
        "year": pl.Int64,
        "value": pl.Float64,
    }
    assert frame["value"].to_list() == [84.5, None]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(
    table: Table, file: Path, mark: str, end: str
) -> None:
    file.write_bytes(f"{mark}{HEADER}{end}{ROW}{end}".encode())
    assert read_edition(table, file).rows() == [("01_KL_H_01", "GM0153", "Enschede", 2019, 84.5)]


def test_spaces_around_a_field_are_no_part_of_it(table: Table, file: Path) -> None:
    file.write_text(f"{HEADER}\n 01_KL_H_01 , GM0153 ,Enschede, 2019 , 84.5 \n", encoding="utf-8")
    assert read_edition(table, file).rows() == [("01_KL_H_01", "GM0153", "Enschede", 2019, 84.5)]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("indicator_code,statcode,statnaam,year", "missing value"),
        (f"{HEADER},note", "unknown note"),
        ("indicator_code,statcode,statnaam,value,year", "the order differs"),
        (HEADER.replace(",", ";"), "missing indicator_code"),
        (HEADER.replace("value", "Value"), "missing value; unknown Value"),
        (f"{HEADER},value", "the order differs"),
    ],
)
def test_another_header_is_refused_with_the_columns_that_differ(
    table: Table, file: Path, header: str, words: str
) -> None:
    error = refused(table, file, header, ROW)
    assert error.rule == "header"
    assert words in str(error)
    assert f"expected {HEADER}" in str(error)


@pytest.mark.parametrize(
    ("row", "line", "column", "found"),
    [
        ("01_KL_H_01,GM0141,Almelo,2019,'84'", 3, "value", "\"'84'\" is not a number"),
        ('01_KL_H_01,GM0141,Almelo,2019,"84,5"', 3, "value", "'84,5' is not a number"),
        ("01_KL_H_01,GM0141,Almelo,2019,.", 3, "value", "'.' is not a number"),
        ("01_KL_H_01,GM0141,Almelo,2019,NaN", 3, "value", "'NaN' is not a number"),
        ("01_KL_H_01,GM0141,Almelo,2019,inf", 3, "value", "'inf' is not a number"),
        ("01_KL_H_01,GM0141,Almelo,2019.5,1", 3, "year", "'2019.5' is not a whole number"),
        ("01_KL_H_01,GM0141,Almelo,MMXIX,1", 3, "year", "'MMXIX' is not a whole number"),
    ],
)
def test_a_value_of_another_type_is_refused_with_line_column_and_value(
    table: Table, file: Path, row: str, line: int, column: str, found: str
) -> None:
    error = refused(table, file, HEADER, ROW, row)
    assert error.rule == "type"
    assert f"line {line}, column {column}: {found}" in str(error)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("01_KL_H_01,GM0141,Almelo,2019", "line 3: 4 fields, expected 5"),
        ("01_KL_H_01,GM0141,Almelo,2019,84,5", "line 3: 6 fields, expected 5"),
        ("", "line 3: 0 fields, expected 5"),
        ('01_KL_H_01,GM0141,"Almelo,2019,84.5', "line 3: unexpected end of data"),
    ],
)
def test_a_line_of_another_length_is_refused_and_never_filled_with_blanks(
    table: Table, file: Path, row: str, words: str
) -> None:
    assert words in str(refused(table, file, HEADER, ROW, row))


def test_a_file_that_was_cut_off_is_refused(table: Table, file: Path) -> None:
    whole = f"{HEADER}\n{ROW}\n{ROW.replace('2019', '2020')}\n".encode()
    file.write_bytes(whole[: whole.rindex(b",")])
    with pytest.raises(ContractError, match=r"rmbw-2024.csv: line 3: 4 fields"):
        read_edition(table, file)


def test_the_same_key_twice_is_refused_with_the_key(table: Table, file: Path) -> None:
    error = refused(
        table, file, HEADER, ROW, ROW.replace("84.5", "85").replace("GM0153", "GM0153 ")
    )
    assert error.rule == "duplicate"
    assert "indicator_code, statcode, year" in str(error)
    assert "01_KL_H_01, GM0153, 2019" in str(error)


@pytest.mark.parametrize("column", ["indicator_code", "statcode", "year"])
def test_a_blank_in_the_key_is_refused_with_its_line(table: Table, file: Path, column: str) -> None:
    position = HEADER.split(",").index(column)
    fields = ROW.split(",")
    fields[position] = " "
    error = refused(table, file, HEADER, ROW.replace("2019", "2018"), ",".join(fields))
    assert f"line 3: {column} is blank" in str(error)


@pytest.mark.parametrize("year", ["20190", "-2019", "19"])
def test_a_period_that_does_not_parse_is_refused_with_column_and_period(
    table: Table, file: Path, year: str
) -> None:
    error = refused(table, file, HEADER, ROW.replace("2019", year))
    assert error.rule == "period"
    assert f"column year: period '{year}' does not parse" in str(error)


def test_a_file_without_rows_is_refused(table: Table, file: Path) -> None:
    assert "has a header but no rows" in str(refused(table, file, HEADER))


def test_an_empty_file_is_refused(table: Table, file: Path) -> None:
    file.write_bytes(b"")
    with pytest.raises(ContractError, match=r"rmbw-2024.csv: wrong header"):
        read_edition(table, file)


def test_a_file_that_is_no_text_is_refused(table: Table, file: Path) -> None:
    file.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(SourceAnswerError, match=r"rmbw-2024.csv: is not UTF-8"):
        read_edition(table, file)


def test_a_file_that_is_not_there_is_an_error_that_names_it(table: Table, file: Path) -> None:
    with pytest.raises(SourceUnreachableError, match=r"no file rmbw-2024.csv"):
        EditionFileSource(file).fetch(table)


def test_a_delivery_says_which_file_it_is_and_which_column_carries_a_measure(
    table: Table, file: Path
) -> None:
    file.write_text(f"{HEADER}\n{ROW}\n", encoding="utf-8")
    delivery = EditionFileSource(file).fetch(table)
    assert delivery.request == {"file": "rmbw-2024.csv"}
    assert set(delivery.columns.values()) == {"value"}
    assert set(delivery.columns) == {m.id for m in table.measures}
    assert delivery.entities[DATA_ENTITY].height == 1


def test_periods_that_are_known_and_left_out_are_read_without_error(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    table = catalogue.table("verkiezingen")
    assert table.file is not None
    file = tmp_path / "turnout.csv"
    row = "GM0153,Enschede,{},2021-03-17,100,80,79,1,0,80.0,kiesraad"
    lines = [",".join(table.file.columns), row.format("TK2021"), row.format("GR2018")]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert read_edition(table, file)["election"].to_list() == ["TK2021", "GR2018"]
