"""The config as frozen, typed objects; unknown keys and impossible values are refused by name.

This module is the one description of the config: ``workflow/schemas/config.schema.json`` and
``docs/config.md`` are generated from it (``python -m selfcorrect.reference``), and a test keeps
them equal.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, create_model, model_validator

from selfcorrect.spec_precedence import PrecedenceCorpus, PrecedenceProblems
from selfcorrect.validation import KeyFaultError, Strict

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Count = Annotated[int, Field(ge=1)]

# --- tasks ------------------------------------------------------------------------------------


def _sums_to_one(mixture: Strict) -> None:
    total = sum(mixture.model_dump().values())
    if abs(total - 1) > 1e-6:
        raise ValueError(f"these shares must sum to 1, not {total:g}")


class FirstAttempts(Strict):
    """Who writes the first attempts of the corpus; shares that sum to 1."""

    hasty: Share = Field(description="the hasty solver: a carry is lost at a nine-column")
    repaired: Share = Field(description="the hasty solver followed by one repair step")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _sums_to_one(self)
        return self


class Revisions(Strict):
    """Who writes a revision of an attempt; shares that sum to 1."""

    copied: Share = Field(description="copies the attempt")
    repair: Share = Field(description="propagates written carries one column further")
    over_eager: Share = Field(
        description="a repair step that also lets the leading nine-column always pass a carry"
    )
    careless: Share = Field(
        description="copies the attempt, but drops the carry into the tens on some problems"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        _sums_to_one(self)
        return self


class CarryCorpus(Strict):
    """The documents that the `carry` base model is pretrained on."""

    kind: Literal["carry"] = Field(description="the task that these documents are for")
    single: Share = Field(description="share of documents with one attempt")
    longer: Share = Field(
        description="share of the other documents that go on to `max_attempts` attempts"
    )
    max_attempts: int = Field(ge=3, le=8, description="attempts in such a longer document")
    refined: Share = Field(
        description="share of the documents with revisions that use the refinement instruction"
    )
    slip: Share = Field(description="share of first attempts, where a revision follows, "
                        "that have one wrong digit")  # fmt: skip
    careless_from: int = Field(
        ge=0,
        le=9,
        description="the careless reviser errs where the first number's last digit is this or more",
    )
    first: FirstAttempts = Field(description="mixture of first attempts")
    revise: Revisions = Field(description="mixture of revisions after the correction instruction")
    refine: Revisions = Field(description="mixture of revisions after the refinement instruction")


class CarryProblems(Strict):
    """Long addition with carry cascades: the embedded twin of the paper's MATH experiments."""

    kind: Literal["carry"] = Field(description="which task of `selfcorrect.tasks` this is")
    seed: int = Field(ge=0, description="draws the problems; the same for every run seed")
    width: int = Field(ge=2, le=12, description="digits that every number is padded to")
    levels: tuple[Count, ...] = Field(
        min_length=1, description="numbers of digits; a problem's level is drawn among them"
    )
    nine_probability: Share = Field(
        description="chance that a column's digits are made to sum to nine, so that carries cascade"
    )
    train: Count = Field(description="training problems")
    validation: Count = Field(description="validation problems: for tuning, never reported")
    test: Count = Field(description="test problems: what the tables report")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for level in self.levels:
            if level > self.width:
                why = f"level {level} does not fit the width of {self.width} digits"
                raise KeyFaultError("levels", why)
        wanted = self.train + self.validation + self.test
        there = sum(81 * 100 ** (level - 1) for level in set(self.levels))
        if wanted > there // 4:
            raise KeyFaultError(
                "train",
                f"with validation and test {wanted} problems are too many for the {there} that "
                f"levels {list(self.levels)} have; use fewer problems or a higher level",
            )
        return self


# --- models and training ----------------------------------------------------------------------


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


class Model(Strict):
    """The base model: an existing checkpoint, or a tiny one pretrained by the workflow."""

    path: str | None = Field(
        description="Hugging Face name or local folder of the base model; null: pretrain `tiny`"
    )
    tiny: TinyModel = Field(description="the model that is pretrained where `path` is null")
    pretraining: Pretraining = Field(description="how the tiny model is pretrained")


class Generation(Strict):
    """Limits of sampling that every use of a model shares."""

    max_new_tokens: Count = Field(
        description="tokens an attempt may have, EOS included; a longer attempt is truncated"
    )
    batch_size: Count = Field(description="conversations sampled at a time outside RL")


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
    supervise: Literal["last", "all"] = Field(
        description="loss on the last attempt only, or on every attempt of a trace"
    )
    max_traces: Count = Field(description="traces kept at most, drawn at random (per round)")


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
    steps: Count = Field(description="policy updates' batches")
    prompts_per_batch: Count = Field(description="problems per batch")
    samples_per_prompt: Count = Field(description="traces per problem in a batch")
    updates_per_batch: Count = Field(
        description="optimiser steps per batch; 1 is on-policy, more are clipped as in PPO"
    )
    clip_ratio: float = Field(
        gt=0, description="clipping of the importance ratio where updates_per_batch > 1"
    )
    temperature: float = Field(gt=0, description="sampling temperature, also of the log-probs")
    turns: Count = Field(description="attempts per trace in training")
    rewarded: Literal["last", "all"] = Field(
        description="reward the last attempt (Stage I, Eq. 3) or every attempt (Stage II, Eq. 4)"
    )
    alpha: float = Field(
        ge=0, description="α: attempt i > 1 earns the bonus α(r_i - r_{i-1}) on its own reward"
    )
    beta1: float = Field(ge=0, description="β1: KL coefficient of every attempt")
    beta2: float = Field(ge=0, description="β2: KL coefficient added on the first attempt")
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
        return self


class Evaluation(Strict):
    """How every model is evaluated."""

    split: Literal["validation", "test"] = Field(description="which problems")
    problems: Count = Field(description="how many of them, from the first")
    samples: int = Field(ge=0, description="sampled traces per problem beside the greedy one")
    temperature: float = Field(gt=0, description="temperature of the sampled traces")
    turns: int = Field(ge=2, description="attempts of every method")
    many_turns: int = Field(ge=2, description="attempts of the methods in `many_turns_for`, greedy")
    many_turns_for: tuple[Name, ...] = Field(description="methods that are given `many_turns`")
    repairs: int = Field(
        ge=0, description="wrong attempts by another writer that are repaired (the paper's MBPP-R)"
    )
    window: Count = Field(
        description="earlier attempts a model sees; older ones are dropped from the conversation"
    )


Problems = Annotated[CarryProblems | PrecedenceProblems, Field(discriminator="kind")]
Corpus = Annotated[CarryCorpus | PrecedenceCorpus, Field(discriminator="kind")]


class Task(Strict):
    """Everything about one task: problems, base model, and the settings methods start from."""

    data: Problems = Field(description="the task and its problems")
    corpus: Corpus | None = Field(
        description="what the tiny base model is pretrained on; null where `model.path` is given"
    )
    model: Model = Field(description="the base model")
    generation: Generation = Field(description="limits of sampling")
    sampling: Sampling = Field(description="traces for SFT and for offline first attempts")
    sft: SFT = Field(description="fine-tuning; a method may override each key")
    rl: RL = Field(description="reinforcement learning; a method may override each key")
    evaluation: Evaluation = Field(description="evaluation")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.corpus is None and self.model.path is None:
            raise KeyFaultError("corpus", "needed to pretrain a base model; or give `model.path`")
        if self.corpus is not None and self.corpus.kind != self.data.kind:
            raise KeyFaultError(
                "corpus.kind", f"{self.corpus.kind!r}, but the data is of kind {self.data.kind!r}"
            )
        there = getattr(self.data, self.evaluation.split)
        if self.evaluation.problems > there:
            raise KeyFaultError(
                "evaluation.problems",
                f"{self.evaluation.problems} asked of {there} {self.evaluation.split} problems",
            )
        if self.sampling.problems > self.data.train:
            raise KeyFaultError(
                "sampling.problems",
                f"{self.sampling.problems} asked of {self.data.train} train problems",
            )
        return self


# --- methods ----------------------------------------------------------------------------------


def _optional(model: type[Strict], name: str) -> type[Strict]:
    """``model`` with every key optional, for a method's overrides; nested models stay whole."""
    fields: dict[str, Any] = {
        key: (field.annotation | None if not field.metadata else Annotated[  # type: ignore[operator]
            field.annotation, *field.metadata] | None, Field(None, description=field.description))
        for key, field in model.model_fields.items()
    }  # fmt: skip
    made: type[Strict] = create_model(name, __base__=Strict, __doc__=model.__doc__, **fields)
    return made


class RLOverrides(_optional(RL, "RLFields")):  # type: ignore[misc]
    """Reinforcement learning of a method: what differs from the task's `rl`."""

    share: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="share of the task's `rl.steps`: stages share what one-stage methods have"
    )


class SFTOverrides(_optional(SFT, "SFTFields")):  # type: ignore[misc]
    """Supervised fine-tuning of a method: which traces, and what differs from the task's `sft`."""

    traces: Literal["star", "pair"] = Field(
        description="star: the model's own two-turn traces; pair: two of its first attempts, paired"
    )
    transitions: tuple[Literal["wrong_right", "right_right"], ...] = Field(
        min_length=1, description="which traces are kept: D is wrong_right, D+ adds right_right"
    )
    rounds: Count = Field(1, description="rounds of sampling, selecting and fine-tuning")


class Method(Strict):
    """One row of the tables: a model and how it came to be, or a prompt for another's model."""

    label: str = Field(description="name in tables and figures")
    start: Name | None = Field(
        None, description="the method whose model this one starts from; null only for the base"
    )
    variant_of: Name | None = Field(
        None, description="inherit all keys of that method; the keys given here replace its"
    )
    tables: tuple[Literal["main", "ablations"], ...] = Field(
        ("main",), description="tables and figures that show the method"
    )
    instruction: Literal["correction", "refinement"] = Field(
        "correction", description="what the model is told after an attempt in evaluation"
    )
    sft: SFTOverrides | None = Field(None, description="train by supervised fine-tuning")
    rl: RLOverrides | None = Field(None, description="train by reinforcement learning")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.sft and self.rl:
            why = "a method trains by `sft` or by `rl`, not both; chain two methods with `start`"
            raise KeyFaultError("rl", why)
        return self


class Run(Strict):
    """What of the config below is run."""

    tasks: tuple[Name, ...] = Field(min_length=1, description="tasks to run, keys of `tasks`")
    methods: Literal["all"] | tuple[Name, ...] = Field(
        description="'all', or the methods to run, keys of `methods`"
    )
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        min_length=1, description="run seeds; each trains its own base model and every method"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key, entries in {
            "tasks": self.tasks,
            "methods": self.methods,
            "seeds": self.seeds,
        }.items():
            if entries != "all" and len(set(entries)) < len(entries):
                raise KeyFaultError(key, f"{list(entries)} names one twice")
        return self


class Compute(Strict):
    """How the work is spread; results depend on the thread counts in their last bits."""

    pretraining_threads: Count = Field(description="threads of the pretraining job")
    tensorboard: bool = Field(description="also write training curves for TensorBoard")
    sandbox_workers: Count = Field(
        description="programs that a job executes at a time, where answers are programs"
    )


class Config(Strict):
    """The whole config."""

    results: str = Field(min_length=1, description="folder of all results")
    run: Run = Field(description="what is run")
    compute: Compute = Field(description="how the work is spread")
    tasks: dict[Name, Task] = Field(description="the tasks")
    methods: dict[Name, Method] = Field(description="the methods")
