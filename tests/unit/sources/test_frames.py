"""Rows to typed frames: declared types hold, codes stay, nothing is guessed."""

from typing import Any

import polars as pl
import pytest

from btg.errors import SourceAnswerError
from btg.sources import frames
from btg.sources.odata import Slice, Topic

ROW = {"RegioS": "GM0153", "Perioden": "2019JJ00"}


def wanted(datatype: str) -> Slice:
    return Slice(("RegioS", "Perioden"), (Topic("Aantal_1", ("Aantal",), datatype, 2),), {})


def column(datatype: str, *values: Any) -> pl.Series:
    rows = [{**ROW, "Aantal_1": value} for value in values]
    return frames.figures("99001ned", rows, wanted(datatype))["Aantal_1"]


@pytest.mark.parametrize("datatype", ["Double", "Float"])
def test_numbers_are_floats(datatype: str) -> None:
    found = column(datatype, 1, 2.5, None, -0.0, 0)
    assert found.dtype == pl.Float64
    assert found.to_list() == [1.0, 2.5, None, -0.0, 0.0]


@pytest.mark.parametrize("datatype", ["Long", "Integer"])
def test_whole_numbers_are_integers_also_when_written_with_a_point(datatype: str) -> None:
    found = column(datatype, 1, 2.0, None, 2**62)
    assert found.dtype == pl.Int64
    assert found.to_list() == [1, 2, None, 2**62]


def test_a_column_without_values_keeps_its_declared_type() -> None:
    assert column("Double", None, None).dtype == pl.Float64
    assert column("Long", None).dtype == pl.Int64
    assert column("String", None).dtype == pl.String


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("Double", "12"),
        ("Double", True),
        ("Double", float("nan")),
        ("Double", float("inf")),
        ("Double", {"a": 1}),
        ("Double", 10**400),
        ("Long", 1.5),
        ("Long", "1"),
        ("Long", False),
        ("Long", float("nan")),
        ("Long", 2**63),
        ("Long", 1e300),
        ("String", 1),
        ("String", []),
    ],
)
def test_a_value_of_another_kind_names_column_and_cell(datatype: str, value: Any) -> None:
    says = "99001ned: column Aantal_1, cell GM0153, 2019JJ00: expected a"
    with pytest.raises(SourceAnswerError, match=says):
        column(datatype, None, value)


def test_metadata_keeps_json_types() -> None:
    frame = frames.metadata(
        "99001ned",
        "DataProperties",
        [
            {"text": "a ", "whole": 1, "number": 1, "yes": True, "none": None},
            {"text": None, "whole": 2, "number": 2.5, "yes": None, "none": None},
        ],
    )
    assert frame.schema == {
        "text": pl.String,
        "whole": pl.Int64,
        "number": pl.Float64,
        "yes": pl.Boolean,
        "none": pl.String,
    }
    assert frame["text"].to_list() == ["a ", None]


def test_nested_and_mixed_metadata_become_json_text() -> None:
    rows = [{"nested": {"b": 1, "a": "é"}, "mixed": 1, "flag": True}, {"mixed": "x", "flag": 1}]
    frame = frames.metadata("99001ned", "TableInfos", rows)
    assert frame["nested"].to_list() == ['{"a": "é", "b": 1}', None]
    assert frame["mixed"].to_list() == ["1", '"x"']
    assert frame["flag"].to_list() == ["true", "1"]


def test_a_key_that_comes_late_is_null_before() -> None:
    frame = frames.metadata("99001ned", "RegioS", [{"Key": "a"}, {"Key": "b", "MapYear": 2024}])
    assert frame["MapYear"].to_list() == [None, 2024]


def test_metadata_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(SourceAnswerError, match="TableInfos, column RecordCount"):
        frames.metadata("99001ned", "TableInfos", [{"RecordCount": float("nan")}])


def test_no_rows_are_a_frame_without_columns() -> None:
    assert frames.metadata("99001ned", "CategoryGroups", []).shape == (0, 0)


def test_a_cell_with_another_padding_is_the_same_cell() -> None:
    frame = pl.DataFrame({"RegioS": ["GM0153", "GM0153  ", "GM0141"], "Perioden": ["a"] * 3})
    assert frames.repeated_cells(frame, ["RegioS", "Perioden"]) == ["GM0153, a"]
