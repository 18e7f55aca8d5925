"""Snakemake with profiles/slurm in a copy of the project, watched from beside it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import cluster
import yaml

RESULTS = Path("results/quick")
# Of this cluster alone: no accounting (so no sacct), and no reason to be sparing with questions.
HERE = ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"]


class Run:
    """A run of the `quick` experiment on ``carry`` with one more overlay, as a process."""

    def __init__(self, project: Path, overlay: dict, *targets: str, profile: str = "slurm") -> None:
        """Start it; ``targets`` lie below the results."""
        content = {**overlay, "run": {"tasks": ["carry"], **overlay.get("run", {})}}
        (project / "overlay.yaml").write_text(yaml.safe_dump(content))
        command = [sys.executable, "-m", "snakemake", "--workflow-profile", f"profiles/{profile}"]
        command += [*HERE, "--configfile", "config/experiments/quick.yaml", "overlay.yaml", "--"]
        command += [str(RESULTS / target) for target in targets]
        environment = {**os.environ, "PYTHONPATH": f"{project}/workflow"}
        self.project = project
        self.log = project / "snakemake.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=project, env=environment, stdout=log, stderr=log
            )

    def finish(self, status: int = 0) -> str:
        """Wait for the end, which is to have this exit status; returns what it said."""
        try:
            ended = self.process.wait(timeout=900)
        finally:
            self.kill()
        said = self.log.read_text()
        assert ended == status, said[-6000:]
        return said

    def kill(self) -> None:
        """``kill -9``: Snakemake ends at once, its jobs stay with SLURM."""
        self.process.kill()
        self.process.wait()

    def wait_for(self, ready, what: str, seconds: float = 300) -> None:
        """Return as soon as ``ready`` says so, or fail where the run ends before."""

        def ready_or_over() -> bool:
            assert self.process.poll() is None, f"over before {what}:\n{self.log.read_text()}"
            return ready()

        cluster.wait_for(ready_or_over, what, seconds)


def logged(project: Path, node: str) -> list[str]:
    """The lines that a training job has logged so far."""
    file = project / RESULTS / f"carry/{node}/seed0/work/training.jsonl"
    return file.read_text().splitlines() if file.is_file() else []


def kill_step(project: Path, step: str) -> None:
    """``kill -9`` for the process of a step that runs in ``project``."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _runs(process, step, project):
            os.kill(int(process.name), signal.SIGKILL)
            return
    raise AssertionError(f"{step} does not run in {project}")


def _runs(process: Path, step: str, project: Path) -> bool:
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        return (
            arguments[1:3] == [b"-m", f"selfcorrect.steps.{step}".encode()]
            and (process / "cwd").resolve() == project
        )
    except OSError:  # it ended meanwhile
        return False
