"""SCoRe (arXiv 2409.12917) reproduced: from a base model to the paper's tables.

    snakemake --cores all results/tables

Every rule calls one step of workflow/selfcorrect; what is run is in config/config.yaml.
"""

from snakemake.utils import min_version

min_version("9.0")


report: "workflow/report/workflow.rst"


configfile: "config/config.yaml"
configfile: "config/benchmarks.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/memory.smk"
include: "workflow/rules/base.smk"
include: "workflow/rules/sft.smk"
include: "workflow/rules/rl.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    publish_tables,
    publish_figures,


onstart:
    # A job's results are deleted before it is done again: another run must not be at them.
    if workflow.is_main_process:
        hold_results()
    # The limit on jobs started a second, which Snakemake has by default, serves a cluster's queue.
    # With one, Snakemake 9 looks through all that could start once a second for every job that has
    # finished: after a hundred jobs that is a tenth of a core, after a thousand a whole one.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


rule all:
    default_target: True
    input:
        f"{RESULTS}/tables",
        f"{RESULTS}/figures",
