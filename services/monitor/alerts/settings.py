"""The alerts' section: `[monitor.alerts]`."""

from datetime import timedelta

from shared.section import Duration, Section


class AlertSettings(Section):
    """What holds for the alerts of every watch; each watch has its own `AlertPolicy`."""

    grace: Duration = timedelta(minutes=2)
    """How long what was never seen well may take to start, before that is an alert."""
