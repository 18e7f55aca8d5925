"""Compute the memory that a task's jobs need, without loading a model; refuse what cannot fit, and
a base model that is an adapter.

python -m selfcorrect.steps.plan_memory --spec JSON --model NAME --plan FILE --numbers FILE
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Read the problems, the tokenizer and the model's configuration, and write the plan."""
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="base model: a folder or a name on the Hub")
    cli.path_argument(parser, "plan", "plan to write, to be read (Markdown)")
    cli.path_argument(parser, "numbers", "the same in bytes (JSON)")
    cli.device_argument(parser)
    arguments = parser.parse_args(argv)

    from functools import cache, partial

    from selfcorrect import files
    from selfcorrect.jobs import MemoryJob
    from selfcorrect.tasks import make_task

    job = cli.job(MemoryJob, arguments.spec)
    for each in (*job.reinforce, *job.generate):
        _ = make_task(each.data).grader  # refuses a machine on which nothing can be graded

    from selfcorrect.lm.memory.conversations import check_context, conversations
    from selfcorrect.lm.memory.remedies import limits_of
    from selfcorrect.lm.memory.shape import shape_of
    from selfcorrect.lm.memory.verdict import check_fit, markdown, plan_of, record
    from selfcorrect.lm.models import check_base, read_chat, read_config

    revision = job.generate[0].loading.revision
    check_base(arguments.model, revision, job.task)
    config = read_config(arguments.model, revision)
    found = conversations(job, read_chat(arguments.model, revision))
    check_context(job, found, config)
    limits = limits_of(job, arguments.device)
    rows = plan_of(job, cache(partial(shape_of, config)), found, on_gpu=arguments.device == "cuda")
    check_fit(rows, limits)
    files.write_json(arguments.numbers, record(rows, limits))
    with files.replacing(arguments.plan) as temporary:
        temporary.write_text(f"# Memory of {job.task}\n\n{markdown(rows, limits)}")


if __name__ == "__main__":
    cli.run(main)
