"""The base model, and traces sampled from a model."""


rule pretrain:
    output:
        model=directory(f"{BASE}/model"),
        log=f"{BASE}/training.jsonl",
    log:
        f"{BASE_LOGS}/pretrain.log",
    benchmark:
        f"{BASE_LOGS}/pretrain.benchmark.tsv"
    priority: urgency
    conda:
        "../../envs/torch.yaml"
    threads: PLAN.config.compute.pretraining_threads
    resources:
        mem_mb=1500,
    params:
        spec=lambda wildcards: PLAN.pretrain(
            wildcards.task, "base", int(wildcards.seed)
        ).model_dump_json(),
        code=code_hash("steps.pretrain"),
    shell:
        step("pretrain")
        + " --spec {params.spec:q} --model {output.model:q} --log {output.log:q} > {log:q} 2>&1"


rule sample:
    input:
        data=data_files,
        plan=memory_plan,
        model=own_model,
    output:
        traces=f"{NODE}/traces.parquet",
    log:
        f"{LOGS}/sample.log",
    benchmark:
        f"{LOGS}/sample.benchmark.tsv"
    priority: urgency
    conda:
        "../../envs/torch.yaml"
    resources:
        gpu=GPUS,
        mem_mb=COMPUTE.memory_mb,
    params:
        spec=spec_of("sample"),
        memory=memory_of("sample"),
        model=lambda wildcards: model_of(wildcards.task, wildcards.node, wildcards.seed),
        code=code_hash("steps.sample"),
    shell:
        step("sample")
        + SPEC
        + " --model {params.model:q} --traces {output.traces:q}"
        + DEVICE
        + " > {log:q} 2>&1"
