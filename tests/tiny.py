"""Models too small to know anything, a task they can learn, and the default config made tiny."""

import copy
import operator
from collections.abc import Sequence
from functools import cache, reduce
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer
from torch import Tensor
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from selfcorrect import config, prompts
from selfcorrect.lm.chat import Chat
from selfcorrect.lm.models import LanguageModel, adapted, tiny_model
from selfcorrect.lm.tokenizer import word_level_tokenizer
from selfcorrect.lm.torch_engine import TorchEngine
from selfcorrect.plan import Plan
from selfcorrect.records import Attempt, Grade, Problem, Submission, Trace, Verdict
from selfcorrect.spec import RL, SFT, Adaptation, LoRA, TinyModel
from selfcorrect.tasks import Task

torch.set_num_threads(1)

CONFIG = config.default(Path(__file__).parents[1])

# --- bare models, for tests that speak in token ids ----------------------------------------------

PAD, EOS, VOCABULARY = 0, 1, 9

_SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 96,
    "initializer_range": 0.3,  # far from uniform: a wrong context changes every probability
    "bos_token_id": None,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
    "tie_word_embeddings": False,
}
_FAMILIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 4}),
    "llama-gqa": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 2}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {"num_key_value_heads": 2}),
    "gemma2": (Gemma2ForCausalLM, Gemma2Config, {"num_key_value_heads": 2, "head_dim": 8,
                                                 "query_pre_attn_scalar": 8}),
}  # fmt: skip
FAMILIES = tuple(_FAMILIES)

CHATML = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)


@cache
def bare_model(family: str = "llama", seed: int = 5, width: int = 32) -> Any:
    """A random `transformers` model of a family; shared, so leave its weights alone."""
    model, settings, own = _FAMILIES[family]
    torch.manual_seed(seed)
    made = model(settings(**{**_SHAPE, **own, "hidden_size": width})).eval()
    for parameter in made.parameters():  # vectors (norms, biases) start out as constants
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, 0.5, 0.3)
    return made


def plain_logits(model: Any, tokens: Sequence[int]) -> Tensor:
    """Logits [T, V] of one sequence read alone and whole: no padding, no cache, no mask."""
    logits: Tensor = model(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits[0]
    return logits


def plain_logprobs(
    model: Any, context: Sequence[int], completion: Sequence[int], temperature: float
) -> Tensor:
    """Log-probs [len(completion)] of a completion after its context, by ``plain_logits``."""
    logits = plain_logits(model, [*context, *completion])[len(context) - 1 : -1]
    table = (logits / temperature).log_softmax(-1)
    return table.gather(1, torch.tensor(completion).unsqueeze(1)).squeeze(1)


# --- language models with a tokenizer, and a task ------------------------------------------------


class Toy:
    """A bandit: an attempt is right if its first character is a digit below five."""

    prompts = prompts.CARRY
    grader = "toy/1"

    def problems(self, split: str) -> list[Problem]:
        return [Problem(f"{split}{i}", "1" * (1 + i % 3) + f"+{i}", "", "1") for i in range(10)]

    def repairs(self) -> list[tuple[Problem, str]]:
        return []

    def grade(self, submissions: Sequence[Submission]) -> list[Grade]:
        return [
            Grade(Verdict.RIGHT if text[:1] in set("01234") else Verdict.WRONG, text[:1])
            for _, text, _ in submissions
        ]


def grade(task: Task, problem: Problem, text: str, truncated: bool = False) -> Grade:
    """The verdict on one attempt."""
    return task.grade([Submission(problem, text, truncated)])[0]


def tokenizer() -> Any:
    """The testbed's tokenizer."""
    texts = prompts.CARRY
    return word_level_tokenizer([texts.opening(""), *texts.instructions.values(), *"0123456789+"])


def language_model(seed: int = 0, scale: float = 10.0, width: int = 16) -> LanguageModel:
    """A random Llama of 2 layers; ``scale`` moves it away from the uniform distribution."""
    spec = TinyModel(hidden_size=width, intermediate_size=24, layers=2, heads=2, max_positions=96)
    chat = Chat(tokenizer())
    model = tiny_model(spec, chat.tokenizer, seed).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(scale)
    return LanguageModel(model, chat)


def moved_adapter(lm: LanguageModel, lora: LoRA, seed: int = 0) -> LanguageModel:
    """``lm`` with an adapter that does something: a fresh one changes nothing."""
    made = adapted(lm, lora, seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in made.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def torch_engine(lm: LanguageModel) -> TorchEngine:
    """The built-in engine on a model."""
    return TorchEngine(lm.model, lm.chat.eos, lm.chat.pad)


def save_checkpoint(folder: Path) -> None:
    """An ordinary checkpoint: Qwen2 of random weights, a byte-level tokenizer, ChatML."""
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        [prompts.MBPP.first, prompts.HUMANEVAL.first, prompts.CODE_CORRECTION],
        vocab_size=600, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    )  # fmt: skip
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer, pad_token="<|endoftext|>", eos_token="<|im_end|>",
        chat_template=CHATML,
    )  # fmt: skip
    shape = {**_SHAPE, "vocab_size": len(tokenizer), "max_position_embeddings": 4096,
             "num_key_value_heads": 2, "eos_token_id": tokenizer.eos_token_id,
             "pad_token_id": tokenizer.pad_token_id, "tie_word_embeddings": True}  # fmt: skip
    torch.manual_seed(0)
    Qwen2ForCausalLM(Qwen2Config(**shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def weights(lm: LanguageModel) -> dict[str, Tensor]:
    """A copy of all weights."""
    return {name: value.clone() for name, value in lm.model.state_dict().items()}


def same_weights(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two sets of weights are equal bit for bit."""
    return all(torch.equal(one[name], other[name]) for name in one)


def attempt(
    tokens: Sequence[int], prompt: Sequence[int] = (2,), text: str = "", **more: Any
) -> Attempt:
    """An attempt of token ids, with log-probs that can be told apart."""
    more = {"truncated": tokens[-1] != EOS, **more}
    logprobs = [-0.1 * (place + 1) for place in range(len(tokens))]
    return Attempt(list(prompt), list(tokens), logprobs, text, **more)


def trace(problem: str, *attempts: Attempt, sample: int = 0) -> Trace:
    """A trace of a problem that is only a name."""
    return Trace(Problem(problem, problem, "", "1"), sample, list(attempts))


# --- settings ------------------------------------------------------------------------------------

_PRETRAINING = {
    "steps": 12,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "warmup": 0.1,
    "weight_decay": 0.01,
    "checkpoint_every": 4,
}
_SFT = {
    "learning_rate": 1e-4,
    "epochs": 1,
    "batch_size": 4,
    "traces_per_micro_batch": None,
    "checkpoint_every": 100,
    "supervise": "all",
    "max_traces": 1000,
}
_RL = {
    "learning_rate": 1e-3,
    "steps": 4,
    "prompts_per_batch": 4,
    "samples_per_prompt": 4,
    "prompts_per_micro_batch": None,
    "updates_per_batch": 1,
    "clip_ratio": 0.2,
    "temperature": 1.0,
    "turns": 2,
    "rewarded": "all",
    "alpha": 0.0,
    "beta1": 0.01,
    "beta2": 0.0,
    "anneal_beta2": 0.0,
    "gamma": 0.0,
    "kl": "exact",
    "baseline": "leave_one_out",
    "offline_first_attempts": 0.0,
    "adaptive_beta2": {"rate": 0.0, "max_factor": 10.0},
    "max_grad_norm": 1.0,
    "keep": "best",
    "checkpoint_every": 2,
}
# What the tests rely on is said here, so that tuning the default config breaks none of them.
_TINY_CONFIG = {
    "compute.pretraining_threads": 1,
    "tasks.carry.data.width": 2,
    "tasks.carry.data.levels": [2],
    "tasks.carry.data.train": 40,
    "tasks.carry.data.validation": 5,
    "tasks.carry.data.test": 5,
    "tasks.carry.model.tiny.hidden_size": 16,
    "tasks.carry.model.tiny.intermediate_size": 24,
    "tasks.carry.model.tiny.heads": 2,
    "tasks.carry.model.tiny.max_positions": 64,
    "tasks.carry.model.pretraining": _PRETRAINING,
    "tasks.carry.generation.max_new_tokens": 4,
    "tasks.carry.generation.batch_size": 8,
    "tasks.carry.sampling": {"problems": 12, "samples_per_problem": 2, "temperature": 1.0},
    "tasks.carry.sft": _SFT,
    "tasks.carry.star": {},
    "tasks.carry.rl": _RL,
    "tasks.carry.evaluation.problems": 5,
    "tasks.carry.evaluation.window": 1,
    "methods.multi_turn_rl_sum.rl": {},
    "methods.star_d.sft": {"traces": "star", "transitions": ["wrong_right"]},
}


def plan(changes: dict[str, Any] | None = None) -> Plan:
    """The default config at the smallest size, with further changes by dotted path."""
    raw = copy.deepcopy(CONFIG)
    for path, value in {**_TINY_CONFIG, **(changes or {})}.items():
        *sections, key = path.split(".")
        reduce(operator.getitem, sections, raw)[key] = copy.deepcopy(value)
    return Plan(config.load(raw))


def rl(**changes: Any) -> RL:
    """The settings of standard multi-turn RL on both attempts, small."""
    changes = {f"methods.multi_turn_rl_sum.rl.{key}": value for key, value in changes.items()}
    return plan(changes).reinforce("carry", "multi_turn_rl_sum", 0).rl


def adaptation(**changes: Any) -> Adaptation:
    """How a model that is trained is loaded: as in the default config, with changes."""
    usual = plan().reinforce("carry", "multi_turn_rl_sum", 0).loading
    return usual.model_copy(update=changes)


def sft(**changes: Any) -> SFT:
    """The settings of STaR, small."""
    changes = {f"methods.star_d.sft.{key}": value for key, value in changes.items()}
    return plan(changes).finetune("carry", "star_d", 0).sft
