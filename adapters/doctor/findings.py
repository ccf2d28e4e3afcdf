"""What a check of the doctor returns, and how it is told: for people as it comes, or as one JSON object."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console

Verdict = Literal["good", "warn", "bad"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy` says what to do, or is empty."""

    verdict: Verdict
    subject: str
    detail: str
    remedy: str = ""


async def tell(found: AsyncIterator[Finding], console: Console) -> bool:
    """Print every finding as it comes. Return whether nothing is bad."""
    fine = True
    async for finding in found:
        fine = fine and finding.verdict != "bad"
        console.print(f"{finding.verdict:4}  {finding.subject}: {finding.detail}", soft_wrap=True)
        if finding.remedy:
            console.print(f"      {finding.remedy}", soft_wrap=True)
    console.print("All is well." if fine else "Mend what is bad, then run this again.")
    return fine


async def as_json(found: AsyncIterator[Finding], console: Console) -> bool:
    """Print `{"ok": ..., "findings": [{verdict, subject, detail, remedy}]}` at the end. Return whether all is well."""
    findings = [finding async for finding in found]
    fine = all(finding.verdict != "bad" for finding in findings)
    document = {"ok": fine, "findings": [asdict(finding) for finding in findings]}
    console.print(json.dumps(document, indent=2, ensure_ascii=False), soft_wrap=True)
    return fine
