"""The management API held to its own description, by somebody who knows nothing else of it: schemathesis."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from hookd.core.ids import RESERVED
from tests.e2e.tenants import CANARY, House

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# TRACE is refused by the server before the API is asked. A condition that does not hold is a refusal as good as any.
SETTINGS = """
[phases.coverage]
unexpected-methods = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]

[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.expected-statuses = [400, 401, 404, 405, 409, 412, 413, 422]
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path)
    one.daemon.start()
    yield one
    one.daemon.close()
    assert CANARY not in one.everything_logged() + one.daemon.stderr.decode()


@pytest.mark.slow
def test_schemathesis_finds_nothing(house: House, tmp_path: Path) -> None:
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(SETTINGS)
    done = subprocess.run(
        [
            *(SCHEMATHESIS, "--config-file", settings, "run", f"http://127.0.0.1:{house.port}/v1/openapi.json"),
            *("--header", f"Authorization: Bearer {CANARY}-token-a", "--suppress-health-check", "all"),
            *("--max-examples", "10", "--max-time", "40", "--generation-deterministic", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "generated" in done.stdout
    # Nothing of what it tried is in anybody else's place.
    assert house.curl("GET", "/v1/webhooks", token="b").json()["webhooks"] == []
    assert not [line for line in house.daemon.lines if line["msg"] in {"http.failed", "management.failed"}]


def test_the_description_is_right_about_itself(house: House) -> None:
    document = house.curl("GET", "/v1/openapi.json", token=None).json()
    assert set(document["paths"]) == {
        "/v1/event-types",
        "/v1/openapi.json",
        "/v1/webhooks",
        "/v1/webhooks/{id}",
        *(f"/v1/webhooks/{{id}}/{word}" for word in RESERVED - {"suspend", "replay"}),
    }
    definition = document["components"]["schemas"]["Definition"]
    Draft202012Validator.check_schema(definition)
    example = document["components"]["requestBodies"]["Definition"]["content"]["application/json"]["example"]
    Draft202012Validator(definition).validate(example)
    assert house.curl("PUT", "/v1/webhooks/example", example).status == 201
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, f"{name} is used nowhere"
