"""Evaluation: generate attempts, grade them. Regrading costs no model time."""


rule generate:
    input:
        model=own_model,
    output:
        attempts=f"{NODE}/attempts.parquet",
    log:
        f"{LOGS}/generate.log",
    benchmark:
        f"{LOGS}/generate.benchmark.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=1500,
    params:
        spec=spec_of("generate"),
        model=lambda wildcards: model_of(wildcards.task, wildcards.node, wildcards.seed),
        code=code_hash("steps.generate"),
    shell:
        step("generate")
        + " --spec {params.spec:q} --model {params.model:q} --attempts {output.attempts:q} > {log:q} 2>&1"


rule grade:
    input:
        attempts=f"{NODE}/attempts.parquet",
    output:
        grades=f"{NODE}/grades.parquet",
    log:
        f"{LOGS}/grade.log",
    benchmark:
        f"{LOGS}/grade.benchmark.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: sandbox_workers
    resources:
        mem_mb=1000,
    params:
        spec=spec_of("grade"),
        code=code_hash("steps.grade"),
    shell:
        step("grade")
        + " --spec {params.spec:q} --attempts {input.attempts:q} --grades {output.grades:q}"
        + WORKPLACE
        + " > {log:q} 2>&1"
