"""Evaluation: generate attempts, grade them. Regrading costs no model time."""


rule screen:
    input:
        data=data_files,
        file=lambda wildcards: repairs_of(wildcards.task).file,
    output:
        given=f"{RESULTS}/{{task}}/given.jsonl",
    log:
        f"{RESULTS}/logs/{{task}}/screen.log",
    benchmark:
        f"{RESULTS}/logs/{{task}}/screen.benchmark.tsv"
    wildcard_constraints:
        task=tasks_where(lambda task: repairs_of(task).file is not None),
    conda:
        "../../envs/analysis.yaml"
    threads: sandbox_workers
    resources:
        mem_mb=grading_mb,
    params:
        spec=spec_of("screen"),
        code=code_hash("steps.screen"),
    shell:
        step("screen")
        + " --spec {params.spec:q} --file {input.file:q} --given {output.given:q}"
        + WORKPLACE
        + " > {log:q} 2>&1"


rule write:
    input:
        data=data_files,
        plan=memory_plan,
        model=lambda wildcards: writer(wildcards.task, local=True),
    output:
        given=f"{RESULTS}/{{task}}/given.jsonl",
    log:
        f"{RESULTS}/logs/{{task}}/write.log",
    benchmark:
        f"{RESULTS}/logs/{{task}}/write.benchmark.tsv"
    wildcard_constraints:
        task=tasks_where(lambda task: repairs_of(task).writer is not None),
    conda:
        "../../envs/torch.yaml"
    threads: sandbox_workers
    resources:
        gpu=GPUS,
        mem_mb=COMPUTE.memory_mb,
    params:
        spec=spec_of("write"),
        memory=memory_of("write"),
        model=lambda wildcards: writer(wildcards.task),
        code=code_hash("steps.write"),
    shell:
        step("write")
        + SPEC
        + " --model {params.model:q} --given {output.given:q}"
        + WORKPLACE
        + DEVICE
        + " > {log:q} 2>&1"


rule generate:
    input:
        data=data_files,
        plan=memory_plan,
        model=own_model,
        given=given_attempts,
    output:
        attempts=f"{NODE}/{{view}}attempts.parquet",
    log:
        f"{LOGS}/{{view}}generate.log",
    benchmark:
        f"{LOGS}/{{view}}generate.benchmark.tsv"
    wildcard_constraints:
        view="|".join(view for view in VIEWS if view != "snapshots_"),
    conda:
        "../../envs/torch.yaml"
    resources:
        gpu=GPUS,
        mem_mb=COMPUTE.memory_mb,
    params:
        spec=spec_of("generate"),
        memory=memory_of("generate"),
        model=lambda wildcards: model_of(wildcards.task, wildcards.node, wildcards.seed),
        given=lambda wildcards, input: (
            f"--given {shlex.quote(str(input.given))}" if input.given else ""
        ),
        code=code_hash("steps.generate"),
    shell:
        step("generate")
        + SPEC
        + " --model {params.model:q} --attempts {output.attempts:q}"
        + " {params.given}"
        + DEVICE
        + " > {log:q} 2>&1"


rule track:
    input:
        data=data_files,
        start=parent_model,
        snapshots=f"{NODE}/snapshots",
        firsts=f"{BASE}/attempts.parquet",
    output:
        attempts=f"{NODE}/snapshots_attempts.parquet",
    log:
        f"{LOGS}/track.log",
    benchmark:
        f"{LOGS}/track.benchmark.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        gpu=GPUS,
        mem_mb=COMPUTE.memory_mb,
    params:
        spec=spec_of("track"),
        memory=memory_of("track"),
        start=parent_name,
        code=code_hash("steps.track"),
    shell:
        step("track")
        + SPEC
        + " --start {params.start:q} --snapshots {input.snapshots:q}"
        + " --firsts {input.firsts:q} --attempts {output.attempts:q}"
        + DEVICE
        + " > {log:q} 2>&1"


rule grade:
    input:
        data=data_files,
        attempts=f"{NODE}/{{view}}attempts.parquet",
    output:
        grades=f"{NODE}/{{view}}grades.parquet",
    log:
        f"{LOGS}/{{view}}grade.log",
    benchmark:
        f"{LOGS}/{{view}}grade.benchmark.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: sandbox_workers
    resources:
        mem_mb=grading_mb,
    params:
        spec=spec_of("grade"),
        code=code_hash("steps.grade"),
    shell:
        step("grade")
        + " --spec {params.spec:q} --attempts {input.attempts:q} --grades {output.grades:q}"
        + WORKPLACE
        + " > {log:q} 2>&1"
