"""Hold the OpenAPI document against the rules of Spectral and Redocly: any finding is a failure.

Run by `make check`. Rules that are off, each with its reason, stand in `spectral.yaml` and
`redocly.yaml`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.clients import tools

SETTINGS = {
    "public_url": "https://rides.wildrydes.test",
    "cognito_domain_url": "https://wildrydes.auth.us-east-1.amazoncognito.com",
}


def lint() -> None:
    """Raises `AssertionError` with the findings."""
    tools.install()
    with tempfile.TemporaryDirectory() as folder:
        document = tools.write_document(Path(folder), SETTINGS)
        rules = tools.FOLDER / "spectral.yaml"
        tools.run(
            *("spectral", "lint", "--fail-severity", "hint", "--ruleset", rules, document),
            folder=tools.FOLDER,
        )
        rules = tools.FOLDER / "redocly.yaml"
        told = tools.run("redocly", "lint", "--config", rules, document, folder=tools.FOLDER)
    # Redocly has no option to fail on warnings.
    assert "warning" not in told.lower().replace("deprecation warning", ""), told


if __name__ == "__main__":
    if tools.has_npm():
        lint()
        print("Spectral and Redocly find nothing in the OpenAPI document")
    else:
        print(f"OpenAPI document not linted: {tools.MISSING}")
