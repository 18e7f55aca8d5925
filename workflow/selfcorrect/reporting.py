"""The spec of the steps that draw tables and figures.

Apart from the other jobs, whose steps do not import it: a change here trains nothing again.
"""

from typing import Literal

from pydantic import Field

from selfcorrect import spec
from selfcorrect.validation import Strict

# What is looked at besides the evaluation: sampled traces that vote, attempts at training problems
# and models kept during fine-tuning; and of the evaluation, more than two attempts.
Shown = Literal["voting", "familiar", "snapshots", "attempts"]


class MethodRow(Strict):
    """A method as tables and figures show it."""

    name: str
    label: str
    tables: tuple[str, ...]


class ReportJob(Strict):
    """Draw tables and figures over tasks, methods and seeds."""

    tasks: tuple[str, ...]
    programming: tuple[str, ...] = Field(description="the tasks whose answers are programs")
    temperatures: dict[str, float] = Field(description="of each task's sampled attempts")
    seeds: tuple[int, ...]
    methods: tuple[MethodRow, ...]
    trained: dict[str, str] = Field(
        description="labels of methods that shown ones start from and that are not shown"
    )
    chains: tuple[tuple[str, ...], ...] = Field(
        description="every method trained by RL, after the RL stages that it starts from"
    )
    shown: dict[Shown, dict[str, tuple[str, ...]]] = Field(
        description="of each task, the methods that are looked at in another way too"
    )
    voting_temperatures: dict[str, float] = Field(description="of each task's votes")
    windows: dict[str, dict[str, int]] = Field(
        description="earlier attempts that are seen, by task, of each method with many attempts"
    )
    sweeps: dict[str, spec.Sweep] = Field(description="settings that are varied")
