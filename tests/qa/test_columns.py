"""Rows of numbers as PostgreSQL's COPY sends them, however the bytes are cut."""

import struct

import numpy as np
import pytest

from annotation.models import Sample
from qa.selectors.columns import _Taken, columns_of

DTYPE = np.dtype([("pk", "i8"), ("emotion", "i1"), ("confidence", "f8")])
ROWS = [(1, 5, 0.25), (2**40, -1, -1.0), (7, 0, 0.5)]
HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
END = struct.pack(">h", -1)


def sent(rows):
    return HEADER + b"".join(struct.pack(">hiqihid", 3, 8, pk, 2, emotion, 8, confidence) for pk, emotion, confidence in rows) + END


@pytest.mark.parametrize("size", [1, 7, 19, 20, 36, 1000])
def test_rows_come_out_whole_however_they_are_cut(size):
    taken, data = _Taken(DTYPE), sent(ROWS)
    for start in range(0, len(data), size):
        assert taken.write(data[start : start + size]) == len(data[start : start + size])
    taken.close()
    assert np.concatenate(taken.chunks).tolist() == ROWS


def test_no_rows_are_no_rows():
    taken = _Taken(DTYPE)
    taken.write(sent([]))
    taken.close()
    assert sum(len(chunk) for chunk in taken.chunks) == 0


def test_a_null_and_an_answer_cut_short_are_errors():
    null = HEADER + struct.pack(">hiqiid", 3, 8, 1, -1, 8, 0.5) + b"\0\0" + END
    with pytest.raises(ValueError, match="emotion is null"):
        _Taken(DTYPE).write(null)
    cut = _Taken(DTYPE)
    cut.write(sent(ROWS)[:-10])
    with pytest.raises(ValueError, match="ended within a row"):
        cut.close()


def test_a_query_for_nothing_gives_empty_columns(db):
    found = columns_of(Sample.objects.none().values_list("pk", "rung", "pk"), DTYPE)
    assert {name: (len(column), column.dtype.str[1:]) for name, column in found.items()} == {
        "pk": (0, "i8"),
        "emotion": (0, "i1"),
        "confidence": (0, "f8"),
    }
