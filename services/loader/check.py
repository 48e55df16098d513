"""What a load would do, without a broker: every line is read, and nothing is written."""

from dataclasses import dataclass

from schemas.base import EPOCH
from services.loader.delivery import DeliveryObserver, LoadTally, Made, batches
from services.loader.domain.columns import FieldMapping, Profile
from services.loader.domain.products import ProductReader
from services.loader.domain.rows import FileRow, LineFault
from services.loader.request import LoadRequest
from services.loader.survey import FileSurvey, surveyed

MOMENT = EPOCH.isoformat()


@dataclass(slots=True)
class CheckReport:
    """One file: its columns over all of its rows, how they would be read, what became of them."""

    survey: FileSurvey
    reading: FieldMapping
    profile: Profile
    tally: LoadTally
    example: bytes | None = None
    """The first change that it would write."""


def check(request: LoadRequest, name: str, observer: DeliveryObserver) -> CheckReport:
    """Read a file to its end; raises `ConfigurationError` when it cannot be read as products."""
    with surveyed(name, request.options) as survey:
        reading = survey.reading(request.options)
        report = CheckReport(survey, reading, Profile(), LoadTally())
        reader = ProductReader(reading, MOMENT, request.texts)

        def make(unit: FileRow | LineFault) -> Made:
            if isinstance(unit, LineFault):
                return Made.of(unit)
            report.profile.add(unit)
            product = reader.read(unit)
            report.example = report.example or product.value
            return Made(unit.line, (), product.faults)

        for batch in batches(map(make, survey.rows)):
            observer.faults(batch.faults)
            report.tally.add(batch.tally)
            observer.advanced(report.tally)
    return report
