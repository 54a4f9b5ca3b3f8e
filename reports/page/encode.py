"""Tables as compact JSON in scripts: pages opened from a file may load scripts, but not fetch data."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd

DIGITS = 5
WHOLE = 2.0**53
"""Whole numbers below it are exact as doubles, which is all that JavaScript has."""
TINY = 1e-290
"""Below it the powers of ten that round a number overflow."""
WORDS = {"NaN": "null", "Infinity": "1e999"}


def script(name: str, json_text: str) -> str:
    """A script that hands JSON to the page under a name.

    The text is parsed by JSON.parse, which is faster than JavaScript's own parser. `<` is escaped, so that no string
    could end a script element wherever the text may end up, and so are the two separators that end a line.
    """
    safe = json_text.replace("\\", "\\\\").replace("'", "\\'").replace("<", "\\x3c")
    safe = safe.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"pageData({json.dumps(name)}, JSON.parse('{safe}'));\n"


def plain(value: Any) -> str:
    """Any nested value as JSON; nan is null and infinity a number too large for a double."""
    return _portable(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_own))


def _own(value: Any) -> Any:
    """Python's own booleans and numbers for numpy's; anything else as text."""
    return value.item() if isinstance(value, (np.bool_, np.number)) else str(value)


def table(frame: pd.DataFrame) -> str:
    """A table by columns: numbers to five digits; texts as an index into the different ones, {"words", "at"}."""
    return "{" + ",".join(f"{json.dumps(str(name))}:{_column(frame[name])}" for name in frame.columns) + "}"


def _column(column: pd.Series) -> str:
    if pd.api.types.is_numeric_dtype(column):
        return plain(_rounded(column.to_numpy(float, na_value=np.nan)).tolist())
    codes, words = pd.factorize(column.fillna("").astype(str))
    return plain({"words": list(words), "at": codes.tolist()})


def _rounded(values: np.ndarray) -> np.ndarray:
    """To five significant digits; columns of whole numbers stay as they are, and so do numbers below `TINY`."""
    if (np.abs(values) < WHOLE).all() and (values == np.round(values)).all():
        return values.astype(np.int64)
    size = np.where(np.isfinite(values) & (values != 0), np.abs(values), 1.0)
    places = DIGITS - 1 - np.floor(np.log10(np.maximum(size, TINY))).astype(int)
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)  # powers of ten >= 1 are exact
    kept = (values == np.round(values)) | (size < TINY)
    return np.where(kept, values, np.round(values * up / down) * down / up)


def _portable(text: str) -> str:
    """Python writes NaN and Infinity, which JSON lacks; strings are left alone."""
    return re.sub(r'"(?:[^"\\]|\\.)*"|NaN|Infinity', lambda found: WORDS.get(found[0], found[0]), text)
