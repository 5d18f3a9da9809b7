"""Tables of text for terminals."""

import unicodedata
from collections.abc import Sequence
from typing import Any

GAP = "  "
LEAST = 8  # columns no cell is cut below


def table(names: Sequence[str], rows: Sequence[Sequence[Any]], width: int) -> str:
    """*rows* below *names*, numbers to the right, not wider than *width*: the widest cells are cut."""
    cells = [[cell(value) for value in row] for row in rows]
    numbers = [bool(cells) and all(isinstance(value, int) for value in column) for column in zip(*rows, strict=True)]
    widths = [max(map(columns, texts)) for texts in zip(names, *cells, strict=True)]
    while sum(widths) + len(GAP) * (len(widths) - 1) > width and max(widths) > LEAST:
        widths[widths.index(max(widths))] -= 1
    lines = [_line(names, widths, numbers), GAP.join("-" * size for size in widths)]
    lines += [_line(row, widths, numbers) for row in cells]
    return "\n".join(line.rstrip() for line in lines)


def cell(value: Any) -> str:
    """*value* as it stands in a table."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def shown(text: str) -> str:
    """*text* on one line: what a terminal would act on or could not show is spelled out, `\\n` for a new line."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def columns(text: str) -> int:
    """How many columns of a terminal *text* takes."""
    return sum(_columns(character) for character in text)


def cut(text: str, width: int) -> str:
    """*text*, ending in `...` if it had to be cut to *width* columns."""
    if columns(text) <= width:
        return text
    kept = ""
    room = width - 3
    for character in text:
        room -= _columns(character)
        if room < 0:
            break
        kept += character
    return kept + "..."


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _line(row: Sequence[str], widths: Sequence[int], numbers: Sequence[bool]) -> str:
    parts = []
    for text, width, is_number in zip(row, widths, numbers, strict=True):
        fitting = cut(text, width)
        padding = " " * (width - columns(fitting))
        parts.append(padding + fitting if is_number else fitting + padding)
    return GAP.join(parts)
