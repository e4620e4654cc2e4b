"""The doctor's account on the terminal."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mbpl_control.doctor.finding import Finding, Verdict, fail, passes
from mbpl_control.doctor.installation import look_at_installation
from mbpl_control.doctor.installation_checks import check_installation

STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


def examine(graph: bool, seconds: float, as_json: bool, namespace: str) -> bool:
    """Look at the installation and, if asked to, at the graph; print what was found; whether nothing fails."""
    sections = {"installation": check_installation(look_at_installation())}
    if graph:
        sections["graph"] = look_at_graph(namespace, seconds)
    return print_sections(sections, as_json)


def print_sections(sections: Mapping[str, Sequence[Finding]], as_json: bool) -> bool:
    """Print findings under their headings, as tables or one JSON object; whether nothing fails."""
    if as_json:
        print(jsonlib.dumps(plain(sections)))
    else:
        console = Console()
        for name, findings in sections.items():
            console.print(table(name, findings))
    return all(passes(findings) for findings in sections.values())


def look_at_graph(namespace: str, seconds: float) -> list[Finding]:
    """What is wrong with the graph; that there is none, where ROS itself is missing."""
    try:
        from mbpl_control.cli.graph import joined
        from mbpl_control.doctor.collector import Collector
        from mbpl_control.doctor.graph_checks import check_graph
    except ImportError as error:
        return [fail("graph", f"cannot be looked at: {error}", "mend the installation first")]
    with joined(namespace) as client:
        return check_graph(Collector(client, seconds).look())


def table(name: str, findings: Sequence[Finding]) -> Table:
    """A row for each finding; below what is wrong, what to do."""
    out = Table(title=name, title_style="bold", title_justify="left", show_header=False)
    for finding in findings:
        text = Text(finding.found)
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}", style="bold")
        out.add_row(Text(finding.verdict.value, STYLES[finding.verdict]), finding.check, text)
    return out


def plain(sections: Mapping[str, Sequence[Finding]]) -> dict[str, object]:
    """All findings as plain data."""
    return {
        "passes": all(passes(findings) for findings in sections.values()),
        **{name: [asdict(f) | {"verdict": f.verdict.value} for f in findings] for name, findings in sections.items()},
    }
