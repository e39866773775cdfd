"""JUnit files validate against the schemas of Jenkins and Apache Ant."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from mcprun.report.data import RunData
from mcprun.report.junit import junit
from mcprun.runs.transcript import Verdict
from tests.support import npm, schemas
from tests.support.facts import EVIL, facts, runs, transcript
from tests.support.junit_files import cases, run_mixed

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


@pytest.fixture(scope="module")
def jenkins() -> etree.XMLSchema:
    """Return the schema of Jenkins' plugin."""
    return schemas.jenkins()


@pytest.fixture(scope="module")
def ant() -> etree.XMLSchema:
    """Return the schema of Apache Ant's tasks."""
    if missing := npm.missing():
        pytest.skip(f"{' and '.join(missing)} not installed: the schema comes from npm")
    return schemas.ant()


def test_a_mixed_run_is_valid_in_both_schemas(tmp_path: Path, jenkins: etree.XMLSchema, ant: etree.XMLSchema) -> None:
    """A run with a passed, a failed and an uncompleted query writes one file that both schemas accept."""
    done = run_mixed(tmp_path)
    file = tmp_path / "ci" / "junit.xml"
    assert (done.code, cases(file.read_text())) == (1, {"passes": "passed", "fails": "failure", "kills": "error"})
    document = etree.parse(file)
    jenkins.assertValid(document)
    ant.assertValid(document)
    assert [path.name for path in file.parent.iterdir()] == ["junit.xml"]


@pytest.fixture(scope="module")
def both_schemas(jenkins: etree.XMLSchema, ant: etree.XMLSchema) -> tuple[etree.XMLSchema, etree.XMLSchema]:
    """Return both schemas."""
    return jenkins, ant


@given(run=runs(), content=st.text() | st.just(EVIL))
@settings(deadline=None)
def test_every_file_is_valid_in_both_schemas(
    both_schemas: tuple[etree.XMLSchema, etree.XMLSchema], run: RunData, content: str
) -> None:
    """Any server text yields valid XML that fits the schemas. Ant's has no `<skipped>`, so it is not applied then."""
    hostile = facts(
        transcript(content or "q", Verdict.FAILED, text=content),
        transcript("e", Verdict.ERROR, text=content),
        log=content,
    )
    for run_data in (run, hostile):
        text = junit(run_data)
        document = etree.fromstring(text.encode())
        both_schemas[0].assertValid(document)
        if "<skipped" not in text:
            both_schemas[1].assertValid(document)
