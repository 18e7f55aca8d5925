"""Turn a training log into TensorBoard's format.

python -m selfcorrect.steps.export_tensorboard --log FILE --events DIR
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Write every number of every step as a scalar."""
    parser = cli.parser(__doc__, spec=False)
    cli.path_argument(parser, "log", "training log, one JSON line a step")
    cli.path_argument(parser, "events", "folder to write, for `tensorboard --logdir`")
    arguments = parser.parse_args(argv)

    from selfcorrect import files

    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise files.FileProblem(
            "compute.tensorboard is on but TensorBoard is not installed: pip install tensorboard"
        ) from error

    with files.replacing(arguments.events) as temporary:
        writer = SummaryWriter(str(temporary))
        for numbers in files.read_json_lines(arguments.log):
            step = numbers.pop("step")
            for name, value in numbers.items():
                if value is not None:
                    writer.add_scalar(name, value, step)
        writer.close()


if __name__ == "__main__":
    cli.run(main)
