"""Whether what a task's models are used for can fit, known before any of it begins."""


rule plan_memory:
    input:
        data=data_files,
        model=lambda wildcards: model_input(
            wildcards.task, "base", PLAN.config.run.seeds[0]
        ),
    output:
        plan=f"{RESULTS}/{{task}}/memory.md",
        numbers=f"{RESULTS}/{{task}}/memory.json",
    log:
        f"{RESULTS}/logs/{{task}}/plan_memory.log",
    benchmark:
        f"{RESULTS}/logs/{{task}}/plan_memory.benchmark.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        gpu=GPUS if COMPUTE.gpu_memory_gb is None else 0,
        mem_mb=1500,
    params:
        # Not by spec_of: here the settings of memory are what matters.
        spec=lambda wildcards: PLAN.memory(wildcards.task).model_dump_json(),
        model=lambda wildcards: model_of(
            wildcards.task, "base", PLAN.config.run.seeds[0]
        ),
        code=code_hash("steps.plan_memory"),
    shell:
        step("plan_memory")
        + " --spec {params.spec:q} --model {params.model:q} --plan {output.plan:q}"
        + " --numbers {output.numbers:q}"
        + DEVICE
        + " > {log:q} 2>&1"
