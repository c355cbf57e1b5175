"""What keeps a text from being read as CSV at all, said before anything else is looked at."""

import csv
import io


def unreadable(name: str, text: str) -> list[str]:
    """One line naming file and line when the csv module or a database could not take the text; empty when both can."""
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        return [f"{name}:{line}: holds a NUL character: save the table as plain UTF-8 text"]
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for _ in reader:
            pass
    except csv.Error as error:  # a field without end, as an unclosed quotation mark makes it
        return [f"{name}:{reader.line_num}: {error}"]
    return []
