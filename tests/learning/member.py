"""One process of a training job, started by test_team: `python member.py FOLDER`."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from selfcorrect.learning.trainer import Setting, Trainer
from selfcorrect.lm.checkpoint import Workspace
from selfcorrect.lm.team import Team
from selfcorrect.rollout import rollout
from selfcorrect.spec import Generation
from tiny import Toy, language_model, rl, torch_engine

STOPPED = "stopped as told"


def main(folder: Path) -> None:
    settings = json.loads((folder / "settings.json").read_text())
    team = Team()
    torch.use_deterministic_algorithms(True)
    task = Toy()
    problems = task.problems("train")
    policy, reference, writer = (language_model(seed, scale=4.0) for seed in (0, 1, 7))
    for each in (policy, reference):
        each.model.to(getattr(torch, settings.get("dtype", "float64")))
    firsts = rollout(
        torch_engine(writer), writer.chat, task, problems,
        instruction=task.prompts.correction, turns=1, samples=1, max_new_tokens=4,
        temperature=1.0, seeds=range(len(problems)),
    )  # fmt: skip
    generation = Generation(engine="torch", cache_mb=64, max_new_tokens=4, batch_size=8)
    setting = Setting(
        task, problems, generation, seed=0,
        offline={trace.problem.id: trace.attempts for trace in firsts},
        sharded=settings.get("sharded", False), recompute=settings.get("recompute", False),
    )  # fmt: skip
    work = Workspace(folder, {"job": "test"}, writes=team.main)
    trainer = Trainer(policy, reference, rl(**settings["rl"]), setting, team)
    if settings.get("short"):  # attempts of the second half of a batch end at once
        sample = trainer.sample

        def shortened():
            traces = sample()
            places = team.share(len(traces) * team.size, "traces")
            for place, trace in zip(places, traces, strict=True):
                if place >= len(traces) * team.size // 2:
                    (attempt,) = trace.attempts
                    cut = {"tokens": attempt.tokens[:1], "logprobs": attempt.logprobs[:1]}
                    trace.attempts[:] = [replace(attempt, **cut)]
            return traces

        trainer.sample = shortened
    if stop := settings.get("stop"):
        update = trainer.update

        def until(traces):
            if trainer.step == stop:
                raise SystemExit(STOPPED)
            return update(traces)

        trainer.update = until
    kept = trainer.train(work)
    if team.main:
        torch.save(kept.model.state_dict(), folder / "weights.pt")
    team.leave()


main(Path(sys.argv[1]))
