"""Tables and figures, drawn from grades and training logs alone."""


rule tabulate:
    input:
        grades=grades(""),
    output:
        tables=directory(f"{RESULTS}/report/tables"),
    log:
        f"{RESULTS}/logs/tabulate.log",
    benchmark:
        f"{RESULTS}/logs/tabulate.benchmark.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=1500,
    params:
        spec=PLAN.report().model_dump_json(),
        code=code_hash("steps.tabulate"),
    shell:
        step("tabulate")
        + " --spec {params.spec:q} --grades {input.grades:q} --output {output.tables:q} > {log:q} 2>&1"


rule plot:
    input:
        grades=grades(""),
        voting=grades("voting_"),
        familiar=grades("familiar_"),
        snapshots=grades("snapshots_"),
        logs=training_logs(),
    output:
        figures=directory(f"{RESULTS}/report/figures"),
    log:
        f"{RESULTS}/logs/plot.log",
    benchmark:
        f"{RESULTS}/logs/plot.benchmark.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=1500,
    params:
        spec=PLAN.report().model_dump_json(),
        code=code_hash("steps.plot"),
    shell:
        step("plot")
        + " --spec {params.spec:q} --grades {input.grades:q} --logs {input.logs:q}"
        " --voting {input.voting:q} --familiar {input.familiar:q} --snapshots {input.snapshots:q}"
        " --output {output.figures:q} > {log:q} 2>&1"


# The published folders are trivial copies of finished parts: Snakemake deletes them before a
# rerun and after a failure.
rule publish_tables:
    input:
        tables=f"{RESULTS}/report/tables",
        manifest=f"{RESULTS}/report/manifest.json",
        tensorboard=tensorboards(),
    output:
        report(
            directory(f"{RESULTS}/tables"),
            patterns=["{table}.csv"],
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        f"{RESULTS}/logs/publish_tables.log",
    conda:
        "../../envs/analysis.yaml"
    shell:
        "(cp -r {input.tables:q} {output:q} && cp {input.manifest:q} {output:q}/) > {log:q} 2>&1"


rule publish_figures:
    input:
        figures=f"{RESULTS}/report/figures",
        tensorboard=tensorboards(),
    output:
        report(
            directory(f"{RESULTS}/figures"),
            patterns=["{figure}.png"],
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{RESULTS}/logs/publish_figures.log",
    conda:
        "../../envs/analysis.yaml"
    shell:
        "cp -r {input.figures:q} {output:q} > {log:q} 2>&1"


rule manifest:
    input:
        tables=f"{RESULTS}/report/tables",
        grades=grades(""),
    output:
        manifest=f"{RESULTS}/report/manifest.json",
    log:
        f"{RESULTS}/logs/manifest.log",
    benchmark:
        f"{RESULTS}/logs/manifest.benchmark.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=PLAN.config.model_dump_json(),
        results=lambda wildcards, output: Path(output.manifest).parents[1],
        code=code_hash("steps.manifest"),
    shell:
        step("manifest")
        + " --spec {params.spec:q} --results {params.results:q} --tables {input.tables:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"


rule manifest_all:
    input:
        tables=f"{RESULTS}/report/tables",
        figures=f"{RESULTS}/report/figures",
        grades=grades(*VIEWS),
        logs=training_logs(),
    output:
        manifest=f"{RESULTS}/report/manifest_all.json",
    log:
        f"{RESULTS}/logs/manifest_all.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=PLAN.config.model_dump_json(),
        results=lambda wildcards, output: Path(output.manifest).parents[1],
        code=code_hash("steps.manifest"),
    shell:
        step("manifest")
        + " --spec {params.spec:q} --results {params.results:q} --tables {input.tables:q}"
        " --figures {input.figures:q} --manifest {output.manifest:q} > {log:q} 2>&1"


rule present:
    input:
        grades=grades(""),
        voting=grades("voting_"),
        snapshots=grades("snapshots_"),
        figures=f"{RESULTS}/report/figures",
        manifest=f"{RESULTS}/report/manifest_all.json",
    output:
        page=report(
            f"{RESULTS}/report/index.html",
            caption="../report/page.rst",
            category="Start here",
            labels={"page": "What came out"},
        ),
        claims=report(
            directory(f"{RESULTS}/report/claims"),
            patterns=["{table}.csv"],
            caption="../report/table.rst",
            category="Start here",
            labels={"table": "{table}, all decided"},
        ),
    log:
        f"{RESULTS}/logs/present.log",
    benchmark:
        f"{RESULTS}/logs/present.benchmark.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=1500,
    params:
        spec=PLAN.report().model_dump_json(),
        code=code_hash("steps.present"),
    shell:
        step("present")
        + " --spec {params.spec:q} --grades {input.grades:q} --voting {input.voting:q}"
        " --snapshots {input.snapshots:q} --figures {input.figures:q}"
        " --manifest {input.manifest:q} --page {output.page:q} --claims {output.claims:q}"
        " > {log:q} 2>&1"
