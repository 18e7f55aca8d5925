"""Supervised baselines: choose traces, fine-tune on them."""


rule select:
    input:
        data=data_files,
        traces=parent_traces,
    output:
        selection=f"{NODE}/selection.parquet",
    log:
        f"{LOGS}/select.log",
    benchmark:
        f"{LOGS}/select.benchmark.tsv"
    wildcard_constraints:
        node=nodes_of("sft"),
    priority: urgency
    conda:
        "../../envs/analysis.yaml"
    threads: sandbox_workers
    resources:
        mem_mb=grading_mb,
    params:
        spec=spec_of("select"),
        code=code_hash("steps.select"),
    shell:
        step("select")
        + " --spec {params.spec:q} --traces {input.traces:q} --selection {output.selection:q}"
        + WORKPLACE
        + " > {log:q} 2>&1"


rule finetune:
    input:
        data=data_files,
        plan=memory_plan,
        model=parent_model,
        selection=f"{NODE}/selection.parquet",
    output:
        model=directory(f"{NODE}/model"),
        snapshots=directory(f"{NODE}/snapshots"),
    log:
        f"{LOGS}/finetune.log",
    benchmark:
        f"{LOGS}/finetune.benchmark.tsv"
    wildcard_constraints:
        node=nodes_of("sft"),
    priority: urgency
    conda:
        "../../envs/torch.yaml"
    resources:
        gpu=GPUS,
        mem_mb=COMPUTE.memory_mb,
    params:
        spec=spec_of("finetune"),
        memory=memory_of("finetune"),
        start=parent_name,
        code=code_hash("steps.finetune"),
    shell:
        step("finetune")
        + SPEC
        + " --start {params.start:q} --selection {input.selection:q}"
        + " --model {output.model:q} --snapshots {output.snapshots:q}"
        + DEVICE
        + " > {log:q} 2>&1"
