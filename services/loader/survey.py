"""A file's first rows: what its columns are, before anything is written."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice

from services.loader.domain.columns import FieldMapping, Profile, reading_of
from services.loader.domain.rows import FileRow, FileUnits, LineFault
from services.loader.formats.content import DamagedFileError, FileContent, opened
from services.loader.formats.detect import OpenedFile, read_rows
from services.loader.request import ReadOptions
from shared.errors import ConfigurationError

LOOKED_AT = 1000


@dataclass(frozen=True, slots=True)
class FileSurvey:
    """An open file: its format, its columns as far as it was looked at, and all of its rows."""

    content: FileContent
    file: OpenedFile
    profile: Profile
    first: Sequence[FileRow | LineFault]
    """So many of its units were looked at."""
    rows: FileUnits

    def reading(self, options: ReadOptions) -> FieldMapping:
        """Return how its rows become products; raises `ConfigurationError` when they cannot."""
        if not self.profile.rows:
            raise ConfigurationError(f"{self.content.name} has no rows ({self.file.description})")
        return reading_of(self.profile, options, decimal=self.file.decimal, typed=self.file.typed)


@contextmanager
def surveyed(name: str, options: ReadOptions) -> Iterator[FileSurvey]:
    """Open a file and look at its first rows."""
    with opened(name) as content:
        file = read_rows(content, options)
        rows = _until_damage(content, file.rows)
        first = list(islice(rows, LOOKED_AT))
        profile = Profile()
        for unit in first:
            if isinstance(unit, FileRow):
                profile.add(unit)
        yield FileSurvey(content, file, profile, first, chain(first, rows))


def _until_damage(content: FileContent, rows: FileUnits) -> FileUnits:
    """Yield the rows; a file that cannot be read on ends with a line that says so."""
    line = 0
    try:
        for unit in rows:
            line = unit.line
            yield unit
    except DamagedFileError as error:
        content.damage = str(error)
        yield LineFault(
            line + 1, "file.damaged", f"{error}: what came before is loaded; mend the file, load it again"
        )
