"""Choose the traces that a supervised baseline is fine-tuned on.

python -m selfcorrect.steps.select --spec JSON --traces FILE --selection FILE
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Grade traces, keep the wanted ones, write them."""
    parser = cli.parser(__doc__)
    cli.path_argument(parser, "traces", "traces sampled from the model")
    cli.path_argument(parser, "selection", "trace file to write: those to learn from")
    cli.workplace_arguments(parser)
    arguments = parser.parse_args(argv)

    from selfcorrect import provenance, seeds
    from selfcorrect.jobs import SelectJob
    from selfcorrect.learning import traces as selection
    from selfcorrect.tasks import grade_traces, make_task
    from selfcorrect.tracefile import read_traces, write_traces

    job = cli.job(SelectJob, arguments.spec)
    watch = provenance.Stopwatch()
    task = make_task(job.data, cli.workplace(arguments))
    problems = {problem.id: problem for problem in task.problems("train")}
    traces = read_traces(arguments.traces, problems)
    verdicts = [[grade.verdict for grade in grades] for grades in grade_traces(task, traces)]
    rng = seeds.generator(job.seed, job.task, job.node, "select")
    if job.traces == "star":
        by_transition = selection.star(traces, verdicts)
    else:
        by_transition = selection.pair(traces, verdicts, rng)
    chosen = selection.chosen(by_transition, job.transitions, job.max_traces, rng)
    write_traces(arguments.selection, {"sampled": chosen})
    provenance.write_beside(
        arguments.selection,
        provenance.describe(
            job,
            watch,
            grader=task.grader,
            sampled=len(traces),
            wrong_right=len(by_transition[0]),
            right_right=len(by_transition[1]),
            selected=len(chosen),
        ),
    )


if __name__ == "__main__":
    cli.run(main)
