"""The config sections about models: making, sampling, training and evaluating them."""

from typing import Literal, Self

from pydantic import Field, model_validator

from selfcorrect.spec.kinds import Count, Name, Share
from selfcorrect.validation import KeyFaultError, Strict


class TinyModel(Strict):
    """A Llama-class model made from scratch."""

    hidden_size: Count = Field(description="width of the residual stream")
    intermediate_size: Count = Field(description="width of the feed-forward layers")
    layers: Count = Field(description="number of layers")
    heads: Count = Field(description="number of attention heads")
    max_positions: Count = Field(description="longest sequence, in tokens")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden_size % (2 * self.heads):
            why = f"{self.hidden_size} is not a multiple of 2 x heads ({self.heads})"
            raise KeyFaultError("hidden_size", why)
        return self


class Pretraining(Strict):
    """How the tiny base model is pretrained: AdamW, warm-up, then cosine decay to a tenth."""

    steps: Count = Field(description="optimiser steps")
    batch_size: Count = Field(description="documents per step")
    learning_rate: float = Field(gt=0, description="peak learning rate")
    warmup: Share = Field(description="share of the steps that the learning rate rises for")
    weight_decay: float = Field(ge=0, description="AdamW's weight decay")
    checkpoint_every: Count = Field(description="steps between checkpoints to resume from")


class Loading(Strict):
    """How a checkpoint becomes a model in memory."""

    revision: str | None = Field(
        description="commit or tag of `path` on the Hub; null: the newest. Which it was "
        "is recorded beside whatever is made with the model"
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        description="precision of the weights and of the arithmetic; what is trained is kept in "
        "float32 beside it, since small updates vanish in bfloat16"
    )
    attention: Literal["sdpa", "eager", "flash_attention_2"] | None = Field(
        description="implementation of attention; flash_attention_2 needs its package and a GPU; "
        "null: the one that `transformers` takes for the model"
    )


class LoRA(Strict):
    """Low-rank adapters (PEFT) in place of all weights; no dropout: what is sampled is trained."""

    rank: Count = Field(description="rank of the update of a weight matrix")
    alpha: float = Field(gt=0, description="its scale, times 1/rank")
    modules: Literal["all-linear"] | tuple[str, ...] = Field(
        description="names of the layers that have one, or all linear ones but the head"
    )


class Adaptation(Loading):
    """The same for a model that is trained, and what saves memory there."""

    lora: LoRA | None = Field(
        description="train adapters; the reference is then the same model with them off. "
        "null: train all weights"
    )
    gradient_checkpointing: bool = Field(
        description="compute activations anew on the way back: less memory, a third more time"
    )
    reference: Literal["beside", "cpu"] = Field(
        description="where the fixed reference of RL is kept: on the policy's device, or in the "
        "main memory, and computed there by one core, for which RL then waits; of no account "
        "with `lora`"
    )


class Model(Adaptation):
    """The base model: an existing checkpoint, or a tiny one pretrained by the workflow."""

    path: str | None = Field(
        description="Hugging Face name or local folder of the base model; null: pretrain `tiny`"
    )
    tiny: TinyModel | None = Field(description="the model that is pretrained where `path` is null")
    pretraining: Pretraining | None = Field(description="how that one is pretrained")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("tiny", "pretraining"):
            if self.path is None and getattr(self, key) is None:
                raise KeyFaultError(key, "needed to pretrain a base model; or give `path`")
        return self


class Generation(Strict):
    """Limits of sampling that every use of a model shares."""

    max_new_tokens: Count = Field(
        description="tokens an attempt may have, EOS included; a longer attempt is truncated"
    )
    batch_size: Count = Field(
        description="conversations sampled at a time, in RL at least a problem's "
        "`samples_per_prompt`; vLLM takes all of an RL batch and is bounded by `cache_mb`"
    )
    engine: Literal["torch", "compiled", "vllm"] = Field(
        description="what samples: the built-in engine; the same with compiled token steps, which "
        "are CUDA graphs on a GPU; or vLLM, which is installed separately (docs/engines.md)"
    )
    cache_mb: Count = Field(
        description="memory of vLLM's KV cache, in MiB, beside its copy of the weights; the "
        "built-in engine takes what its batch needs"
    )


class Sampling(Strict):
    """Traces sampled from a model for the SFT baselines and for offline first attempts."""

    problems: Count = Field(description="training problems sampled from")
    samples_per_problem: Count = Field(description="two-turn traces per problem")
    temperature: float = Field(gt=0, description="sampling temperature")


class SFT(Strict):
    """Supervised fine-tuning with TRL's SFTTrainer: AdamW, linear decay."""

    learning_rate: float = Field(gt=0, description="peak learning rate")
    epochs: Count = Field(description="passes over the selected traces")
    batch_size: Count = Field(description="traces per optimiser step")
    traces_per_micro_batch: Count | None = Field(
        description="traces of a batch that are trained on at a time, their gradients summed, "
        "which takes less memory and changes nothing else; null: all"
    )
    checkpoint_every: Count = Field(description="steps between checkpoints to resume from")
    supervise: Literal["last", "all"] = Field(
        description="loss on the last attempt only, or on every attempt of a trace"
    )
    max_traces: Count = Field(description="traces kept at most, drawn at random (per round)")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.batch_size % (self.traces_per_micro_batch or 1):
            why = f"{self.traces_per_micro_batch} is not a divisor of batch_size {self.batch_size}"
            raise KeyFaultError("traces_per_micro_batch", why)
        return self


class AdaptiveBeta2(Strict):
    """§5.3: β2 follows the ratio of the second attempt's objective to the first attempt's KL."""

    rate: float = Field(
        ge=0, description="how fast β2 moves towards balance, log units a step; 0 keeps it fixed"
    )
    max_factor: float = Field(
        ge=1, description="β2 stays within this factor of its starting value, up and down"
    )


class RL(Strict):
    """The multi-turn policy gradient (Eqs. 3 and 4)."""

    learning_rate: float = Field(gt=0, description="Adam's learning rate, constant")
    steps: Count = Field(description="batches that are sampled and learned from")
    prompts_per_batch: Count = Field(description="problems per batch")
    samples_per_prompt: Count = Field(description="traces per problem in a batch")
    prompts_per_micro_batch: Count | None = Field(
        description="problems of a batch whose traces are trained on at a time, their gradients "
        "summed, which takes less memory and changes nothing else; null: all"
    )
    updates_per_batch: Count = Field(
        description="optimiser steps per batch; 1 is on-policy, more are clipped as in PPO"
    )
    clip_ratio: float = Field(
        gt=0, description="clipping of the importance ratio where updates_per_batch > 1"
    )
    temperature: float = Field(gt=0, description="sampling temperature, also of the log-probs")
    turns: Count = Field(description="attempts per trace in training")
    rewarded: Literal["revisions", "all"] = Field(
        description="reward every attempt but the first (Stage I, Eq. 3) or all (Stage II, Eq. 4)"
    )
    alpha: float = Field(
        ge=0, description="α: attempt i > 1 earns the bonus α(r_i - r_{i-1}) on its own reward"
    )
    beta1: float = Field(ge=0, description="β1: KL coefficient of every attempt")
    beta2: float = Field(ge=0, description="β2: KL coefficient added on the first attempt")
    anneal_beta2: Share = Field(
        description="share of the steps over which β2 falls to 0, linearly; 0: it does not"
    )
    gamma: Share = Field(description="γ: credit of later attempts' rewards to earlier attempts")
    kl: Literal["exact", "k3"] = Field(
        description="KL per token: exact over the vocabulary, or the k3 estimate from the sample"
    )
    baseline: Literal["leave_one_out", "batch_mean", "none"] = Field(
        description="per turn: mean of the prompt's other traces, of the batch's others, or none"
    )
    offline_first_attempts: Share = Field(
        description="share of a batch's problems whose first attempt is the base model's (§5.3)"
    )
    adaptive_beta2: AdaptiveBeta2 = Field(description="§5.3's adaptive β2")
    max_grad_norm: float = Field(gt=0, description="gradient norm is clipped at this")
    keep: Literal["best", "last"] = Field(
        description="keep the weights of the highest training reward, or the last ones"
    )
    checkpoint_every: Count = Field(
        description="steps between checkpoints, and the window over which `best` averages"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        traces = self.prompts_per_batch * self.samples_per_prompt
        if self.baseline == "leave_one_out" and self.samples_per_prompt < 2:
            raise KeyFaultError("samples_per_prompt", "a leave-one-out baseline needs 2 or more")
        if self.baseline == "batch_mean" and traces < 2:
            raise KeyFaultError(
                "prompts_per_batch", "a batch-mean baseline needs 2 or more traces in a batch"
            )
        if self.offline_first_attempts > 0 and self.turns < 2:
            raise KeyFaultError("offline_first_attempts", "needs 2 or more turns")
        if self.offline_first_attempts > 0 and self.fresh_and_offline[1] == 0:
            why = f"rounds to none of the {self.prompts_per_batch} problems of a batch"
            raise KeyFaultError("offline_first_attempts", why)
        if self.rewarded == "revisions" and self.turns < 2:
            raise KeyFaultError("rewarded", "with one turn there are no revisions to reward")
        return self

    @property
    def fresh_and_offline(self) -> tuple[int, int]:
        """Problems of a batch whose first attempts are sampled, and whose are the base model's."""
        offline = round(self.offline_first_attempts * self.prompts_per_batch)
        return self.prompts_per_batch - offline, offline


class Repairs(Strict):
    """Second attempts after another writer's wrong first ones: the paper's MBPP-R."""

    problems: int = Field(ge=0, description="wrong attempts that are repaired at most; 0: none")
    at: Literal["evaluated", "trained"] = Field(
        description="whether they are at problems of what is `evaluated`, or of what is `trained` "
        "on (`data`), of the evaluated split in both cases. The paper trains on MBPP, evaluates on "
        "HumanEval and repairs attempts at MBPP"
    )
    file: str | None = Field(
        description="the attempts, a JSON line each with `problem` (its id) and `text`; null: "
        "those of the `writer`, or else the task's own, which the testbed `precedence` has"
    )
    writer: str | None = Field(
        description="Hugging Face name or folder of a model whose wrong attempts are repaired; "
        "null: none"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.file is not None and self.writer is not None:
            raise KeyFaultError("writer", "give `file` or `writer`, not both")
        return self


class Voting(Strict):
    """Sampled traces that vote: parallel samples against fewer that are corrected (Fig. 1)."""

    methods: tuple[Name, ...] = Field(description="methods whose traces vote")
    problems: Count = Field(description="evaluated problems at most, from the first")
    samples: Count = Field(
        description="traces per problem; half as many corrected ones take as long to sample"
    )
    temperature: float = Field(gt=0, description="their temperature; the paper's is 0.7")


class Familiar(Strict):
    """Greedy attempts at training problems, whose edits are compared with others (Fig. 4)."""

    methods: tuple[Name, ...] = Field(description="methods that attempt training problems")
    problems: Count = Field(description="training problems at most, from the first")


class Snapshots(Strict):
    """Correction over the course of fine-tuning (Fig. 5)."""

    methods: tuple[Name, ...] = Field(
        description="fine-tuned methods that are evaluated at several steps of their last round"
    )
    count: Count = Field(description="steps at which that is done, evenly spaced")
    problems: Count = Field(description="evaluated problems at most, from the first")


class Evaluation(Strict):
    """How every model is evaluated."""

    split: Literal["validation", "test"] = Field(description="which problems")
    problems: Count = Field(description="how many of them, from the first")
    samples: int = Field(ge=0, description="sampled traces per problem beside the greedy one")
    temperature: float = Field(gt=0, description="temperature of the sampled traces")
    turns: int = Field(ge=2, description="attempts of every method")
    many_turns: int = Field(ge=2, description="attempts of the methods in `many_turns_for`, greedy")
    many_turns_for: tuple[Name, ...] = Field(description="methods that are given `many_turns`")
    repairs: Repairs = Field(description="repair of another writer's attempts (MBPP-R)")
    voting: Voting = Field(description="traces that vote (for figures)")
    familiar: Familiar = Field(description="attempts at training problems (for figures)")
    snapshots: Snapshots = Field(description="evaluation during fine-tuning (for figures)")
    window: Count = Field(
        description="earlier attempts a model sees, or as many as it was trained with; older ones "
        "are dropped from the conversation"
    )
