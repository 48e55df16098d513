"""An origin of web pages, as settings name it; light to import."""

from typing import Annotated

from pydantic import StringConstraints

Origin = Annotated[
    str, StringConstraints(pattern=r"^https?://[a-z0-9._-]+(:\d{1,5})?$|^https?://\[[0-9a-f:]+\](:\d{1,5})?$")
]
"""As a browser says it: scheme, host and, where it is not the scheme's own, port; in lower case."""
