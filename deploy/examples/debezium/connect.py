"""`connect.py FILE URL` gives a connector to Kafka Connect, which keeps it; a second time is nothing."""

import json
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def main(file: str, connect: str) -> None:
    """Put the connector, by its name."""
    lines = (line.partition("=") for line in Path(file).read_text("utf-8").splitlines())
    configuration = {name.strip(): value.strip() for name, _, value in lines if name[:1] not in {"", "#"}}
    url = f"{connect}/connectors/{configuration['name']}/config"
    headers = {"content-type": "application/json"}
    request = Request(url, json.dumps(configuration).encode(), headers, method="PUT")  # noqa: S310 - Connect's
    try:
        with urlopen(request, timeout=60) as answer:  # noqa: S310 - likewise
            print(f"{answer.status} {url}")  # noqa: T201 - a program
    except HTTPError as error:  # what is wrong with the connector is in the answer
        raise SystemExit(f"{error.code} {url}: {error.read().decode(errors='replace')}") from error


if __name__ == "__main__":
    main(*sys.argv[1:])
