"""What decides loads nothing that does: said of the import graph by the linter, and here of a real import."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOING = [
    *("faust", "aiokafka", "faiss", "torch", "sentence_transformers", "redis", "httpx", "fastapi", "uvicorn"),
    *("pydantic_settings", "structlog", "stamina", "prometheus_client"),
]
DOMAIN = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for pattern in ("*/domain/**/*.py", "*/*/domain/**/*.py")
    for file in (ROOT / "services").glob(pattern)
)
PROBE = """
import importlib, json, sys
names, doing = json.loads(sys.argv[1])
loaded = {}
for name in names:
    importlib.import_module(name)
    new = [module for module in doing if module in sys.modules and module not in loaded]
    loaded |= dict.fromkeys(new, name)
print(json.dumps(loaded))
"""


def test_importing_what_decides_loads_nothing_that_does() -> None:
    assert len(DOMAIN) > 60
    probe = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps([DOMAIN, DOING])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(probe.stdout) == {}, "loaded by the first module that needs it"
