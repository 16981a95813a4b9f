"""Findings of the linter for machines: JSON, annotations of GitHub, SARIF 2.1.0."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipeline import __version__
from pipeline.adapters.journey_lint import Finding


def as_json(findings: Sequence[Finding]) -> str:
    """One object: `findings` with the fields of each, and how many are errors and warnings."""
    counts = {f"{level}s": sum(f.level == level for f in findings) for level in ("error", "warning")}
    return json.dumps({"findings": [asdict(finding) for finding in findings], **counts}, ensure_ascii=False, indent=2)


def as_github(findings: Sequence[Finding]) -> str:
    """Workflow commands, one a line: GitHub shows each beside its line of the file."""
    return "\n".join(
        f"::{f.level} file={_escaped(f.path, ',:')},line={max(f.line, 1)},col={max(f.column, 1)},"
        f"title=journey lint::{_escaped(f.text)}"
        for f in findings
    )


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def as_sarif(findings: Sequence[Finding]) -> str:
    """One run of SARIF 2.1.0."""
    driver = {"name": "journey lint", "version": __version__, "rules": [{"id": "journey"}]}
    results: list[dict[str, Any]] = [
        {
            "ruleId": "journey",
            "level": finding.level,
            "message": {"text": finding.text},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": finding.path},
                        "region": {"startLine": max(finding.line, 1), "startColumn": max(finding.column, 1)},
                    }
                }
            ],
        }
        for finding in findings
    ]
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}],
        },
        ensure_ascii=False,
        indent=2,
    )
