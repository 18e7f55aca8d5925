"""Functions that the rules share; no rule lives here."""

import os
import re
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path

from snakemake.exceptions import WorkflowError

from selfcorrect.codehash import code_hash
from selfcorrect.config import check_paths, default, load, merged
from selfcorrect.files import FileProblem, locked, writable
from selfcorrect.jobs import MEMORY
from selfcorrect.plan import VIEWS, Plan
from selfcorrect.validation import ConfigError

# One thread a job unless it says otherwise, and waiting threads must not spin beside other jobs.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Jobs run in Snakemake's own Python unless --sdm conda puts a rule's environment before it, and
# in both they find this checkout's package.
for variable, first in (
    ("PATH", Path(sys.executable).parent),
    ("PYTHONPATH", Path(workflow.basedir) / "workflow"),
):
    paths = [str(first), *os.environ.get(variable, "").split(os.pathsep)]
    os.environ[variable] = os.pathsep.join(
        dict.fromkeys(path for path in paths if path)
    )

try:
    # Merged over the default once more for its order: Snakemake puts an overlay's keys first.
    PLAN = Plan(load(merged(default(Path(workflow.basedir)), config)))
    check_paths(PLAN.config)
    writable(Path(PLAN.config.results))
except (ConfigError, FileProblem) as error:
    raise WorkflowError(f"The config cannot be run:\n{error}") from None

HELD = ExitStack()
RESULTS = PLAN.config.results
COMPUTE = PLAN.config.compute
GPUS = 1 if COMPUTE.device == "cuda" else 0  # of a job that uses a model

# Where and on how many processes a job works is neither in its spec nor in its command's text,
# which Snakemake compares with that of the last run: work that is done is not done again because
# the next machine is another.
os.environ.update(
    SELFCORRECT_DEVICE=COMPUTE.device,
    SELFCORRECT_SHARDED="--sharded" if COMPUTE.sharded else "",
    # Past "--" torchrun reads no options of its own: it takes --start for its --start-method.
    SELFCORRECT_LAUNCHER=(
        f"torch.distributed.run --standalone --nproc-per-node {COMPUTE.processes} -m --"
        if COMPUTE.processes > 1
        else ""
    ),
)
SPEC = " --spec {params.spec:q} --memory {params.memory:q}"
DEVICE = ' --device "$SELFCORRECT_DEVICE"'
SHARDED = " $SELFCORRECT_SHARDED"
NODE = f"{RESULTS}/{{task}}/{{node}}/seed{{seed}}"
LOGS = f"{RESULTS}/logs/{{task}}/{{node}}/seed{{seed}}"
BASE = NODE.replace("{node}", "base")
BASE_LOGS = LOGS.replace("{node}", "base")


wildcard_constraints:
    view="|".join(VIEWS),
    task="|".join(PLAN.config.run.tasks),
    node=r"[a-z][a-z0-9_]*(\.round\d+)?",
    seed=r"\d+",


def hold_results():
    """Keep other runs off the results until this process ends, however it ends."""
    try:
        HELD.enter_context(locked(Path(RESULTS)))
    except FileProblem as error:
        raise WorkflowError(str(error)) from None


def nodes_of(kind):
    """A wildcard pattern of the nodes that are made by one kind of training."""
    names = {
        n.name
        for nodes in PLAN.nodes.values()
        for n in nodes.values()
        if n.kind == kind
    }
    return "|".join(map(re.escape, sorted(names))) or "(?!)"


def step(name):
    """The command that runs a step, up to its arguments; no path in it, so a checkout can move."""
    return f"python -m selfcorrect.steps.{name}"


def team_step(name):
    """The same for a step that several processes may share."""
    return f"python -m $SELFCORRECT_LAUNCHER selfcorrect.steps.{name}"


def job_of(job, wildcards):
    """The spec of ``job`` (a method of Plan) for a rule's wildcards."""
    keys = wildcards.keys()
    node = [wildcards.node, int(wildcards.seed)] if "node" in keys else []
    view = [wildcards.view] if "view" in keys else []
    return getattr(PLAN, job)(wildcards.task, *node, *view)


def spec_of(job):
    """A function for ``params``: a job's spec as JSON, less its settings of memory."""
    return lambda wildcards: job_of(job, wildcards).model_dump_json(exclude=MEMORY)


def memory_of(job):
    """The same for these settings; what is made from ``resources`` Snakemake does not compare."""

    def memory(wildcards, resources):
        return job_of(job, wildcards).model_dump_json(include=MEMORY)

    return memory


def folder(task, node, seed):
    """Where a node's results lie."""
    return f"{RESULTS}/{task}/{node}/seed{seed}"


def model_of(task, node, seed):
    """The model folder a node uses, or the name of a checkpoint from elsewhere."""
    owner = PLAN.owner(task, node)
    path = PLAN.config.tasks[task].model.path
    if PLAN.nodes[task][owner].kind == "base" and path is not None:
        return path
    return f"{folder(task, owner, seed)}/model"


def model_input(task, node, seed):
    """The same as a rule's input: a model from elsewhere counts where it is a local folder."""
    model = model_of(task, node, seed)
    return [model] if model.startswith(f"{RESULTS}/") or Path(model).is_dir() else []


def memory_plan(wildcards):
    """A given model is used only once its jobs are known to fit; a new plan reruns none of them."""
    if PLAN.config.tasks[wildcards.task].model.path is None:
        return []
    return ancient(f"{RESULTS}/{wildcards.task}/memory.md")


def data_files(wildcards):
    """The local files that a task's problems are read from."""
    return PLAN.files(wildcards.task)


def grading_mb(wildcards):
    """Memory of a job that grades: its own, and where answers are programs what these may take."""
    return 1000 + PLAN.sandbox_mb(wildcards.task)


def own_model(wildcards):
    return model_input(wildcards.task, wildcards.node, wildcards.seed)


def parent_model(wildcards):
    parent = PLAN.nodes[wildcards.task][wildcards.node].parent
    return model_input(wildcards.task, parent, wildcards.seed)


def parent_name(wildcards):
    """The parent's model as a step takes it: a folder or a name on the Hub."""
    parent = PLAN.nodes[wildcards.task][wildcards.node].parent
    return model_of(wildcards.task, parent, wildcards.seed)


def offline_traces(wildcards):
    """The base model's traces, where a method mixes its first attempts in."""
    rl = PLAN.nodes[wildcards.task][wildcards.node].settings
    if rl.offline_first_attempts == 0:
        return []
    return f"{folder(wildcards.task, 'base', wildcards.seed)}/traces.parquet"


def parent_traces(wildcards):
    parent = PLAN.nodes[wildcards.task][wildcards.node].parent
    owner = PLAN.owner(wildcards.task, parent)
    return f"{folder(wildcards.task, owner, wildcards.seed)}/traces.parquet"


def repairs_of(task):
    """What is asked of repairs in a task's evaluation."""
    return PLAN.config.tasks[task].evaluation.repairs


def tasks_where(condition):
    """A wildcard pattern of the tasks that are run of which something is true."""
    return "|".join(filter(condition, PLAN.config.run.tasks)) or "(?!)"


def writer(task, local=False):
    """The model whose wrong attempts are repaired; as an input only where it is a local folder."""
    model = repairs_of(task).writer
    return [] if local and (model is None or not Path(model).is_dir()) else model


def urgency(wildcards):
    """Training goes before evaluation, and first what most trainings wait for in a line."""
    node = wildcards.get("node", "base")
    return 1 + PLAN.followers(wildcards.task, node)


def given_attempts(wildcards):
    """The wrong attempts to repair, where they are not the task's own."""
    if wildcards.view != "":
        return []
    repairs = repairs_of(wildcards.task)
    own = repairs.file is None and repairs.writer is None
    return (
        f"{RESULTS}/{wildcards.task}/given.jsonl"
        if repairs.problems and not own
        else []
    )


def sandbox_workers(wildcards):
    """Threads of a job that grades: one, unless answers are programs."""
    workers = COMPUTE.sandbox_workers
    return workers if PLAN.runs_programs(wildcards.task) else 1


def team_threads(wildcards):
    """Threads of an RL job: what grading takes, for each of its processes."""
    return COMPUTE.processes * sandbox_workers(wildcards)


# What a step that grades is told of the place where programs are executed.
WORKPLACE = (
    f" --workers {{threads}} --executions {shlex.quote(f'{RESULTS}/executions.sqlite')}"
)


def grades(*views):
    """What was graded of every method that is evaluated, over tasks and seeds."""
    run = PLAN.config.run
    return [
        f"{folder(task, method, seed)}/{view}grades.parquet"
        for task in run.tasks
        for method in PLAN.methods()
        for view in views
        if PLAN.shows(task, method, view)
        for seed in run.seeds
    ]


def tensorboards():
    """What TensorBoard reads, where the config asks for it."""
    if not PLAN.config.compute.tensorboard:
        return []
    return [log.replace("training.jsonl", "tensorboard") for log in training_logs()]


def training_logs():
    """The training log of every RL method, over tasks and seeds."""
    run = PLAN.config.run
    return [
        f"{folder(task, name, seed)}/training.jsonl"
        for task in run.tasks
        for name, node in PLAN.nodes[task].items()
        if node.kind == "rl"
        for seed in run.seeds
    ]
