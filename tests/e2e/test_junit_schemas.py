"""JUnit files validate against the schemas of the programs that read them."""

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
    """Give the schema of Jenkins' plugin."""
    return schemas.jenkins()


@pytest.fixture(scope="module")
def ant() -> etree.XMLSchema:
    """Give the schema of Apache Ant's tasks."""
    if missing := npm.missing():
        pytest.skip(f"{' and '.join(missing)} not installed: the schema comes from npm")
    return schemas.ant()


def test_a_mixed_run_fits_both_schemas(tmp_path: Path, jenkins: etree.XMLSchema, ant: etree.XMLSchema) -> None:
    """What passed, failed and could not be completed stand in one file that Jenkins and Ant would have written."""
    done = run_mixed(tmp_path)
    file = tmp_path / "ci" / "junit.xml"
    assert (done.code, cases(file.read_text())) == (1, {"passes": "passed", "fails": "failure", "kills": "error"})
    document = etree.parse(file)
    jenkins.assertValid(document)
    ant.assertValid(document)
    assert [path.name for path in file.parent.iterdir()] == ["junit.xml"]


@pytest.fixture(scope="module")
def any_schema(jenkins: etree.XMLSchema, ant: etree.XMLSchema) -> tuple[etree.XMLSchema, etree.XMLSchema]:
    """Give both, for tests that make many files."""
    return jenkins, ant


@given(run=runs(), content=st.text() | st.just(EVIL))
@settings(deadline=None)
def test_every_file_fits(any_schema: tuple[etree.XMLSchema, etree.XMLSchema], run: RunData, content: str) -> None:
    """Whatever servers say, the file is XML and fits; Ant's schema knows nothing that is skipped."""
    hostile = facts(
        transcript(content or "q", Verdict.FAILED, text=content),
        transcript("e", Verdict.ERROR, text=content),
        log=content,
    )
    for one in (run, hostile):
        text = junit(one)
        document = etree.fromstring(text.encode())
        any_schema[0].assertValid(document)
        if "<skipped" not in text:
            any_schema[1].assertValid(document)
