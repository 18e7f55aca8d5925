"""Reinforcement learning: Stage I, Stage II, their ablations and the RL baselines."""


rule reinforce:
    input:
        data=data_files,
        plan=memory_plan,
        start=parent_model,
        reference=lambda wildcards: model_input(wildcards.task, "base", wildcards.seed),
        offline=offline_traces,
    output:
        model=directory(f"{NODE}/model"),
        log=f"{NODE}/training.jsonl",
    log:
        f"{LOGS}/reinforce.log",
    benchmark:
        f"{LOGS}/reinforce.benchmark.tsv"
    wildcard_constraints:
        node=nodes_of("rl"),
    priority: urgency
    conda:
        "../../envs/torch.yaml"
    threads: team_threads
    resources:
        gpu=COMPUTE.processes * GPUS,
        mem_mb=COMPUTE.memory_mb,
    params:
        spec=spec_of("reinforce"),
        memory=memory_of("reinforce"),
        start=parent_name,
        reference=lambda wildcards: model_of(wildcards.task, "base", wildcards.seed),
        offline=lambda wildcards, input: (
            f"--offline {shlex.quote(str(input.offline))}" if input.offline else ""
        ),
        code=code_hash("steps.reinforce"),
    shell:
        team_step("reinforce")
        + SPEC
        + " --start {params.start:q} --reference {params.reference:q}"
        " {params.offline} --model {output.model:q} --log {output.log:q}"
        + WORKPLACE
        + DEVICE
        + SHARDED
        + " > {log:q} 2>&1"


rule export_tensorboard:
    input:
        log=f"{NODE}/training.jsonl",
    output:
        events=directory(f"{NODE}/tensorboard"),
    log:
        f"{LOGS}/export_tensorboard.log",
    benchmark:
        f"{LOGS}/export_tensorboard.benchmark.tsv"
    conda:
        "../../envs/torch.yaml"
    params:
        code=code_hash("steps.export_tensorboard"),
    shell:
        step("export_tensorboard")
        + " --log {input.log:q} --events {output.events:q} > {log:q} 2>&1"
