"""Chat templates in the manner of known families, with the tokens that they need, written anew."""

# ChatML with a system message of its own, as Qwen2.5's.
QWEN2 = (
    "{%- if messages[0]['role'] != 'system' -%}"
    "{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{%- endif -%}"
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
# ChatML that takes the thoughts out of earlier attempts, as Qwen3's.
QWEN3 = (
    "{%- for message in messages -%}"
    "{%- set content = message['content'].split('</think>')[-1].lstrip('\n') -%}"
    "{{ '<|im_start|>' + message['role'] + '\n' + content + '<|im_end|>\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
# The same where thinking is off: an empty thought is put before the attempt that is asked for,
# and is not there before earlier ones.
QWEN3_WITHOUT_THINKING = QWEN3.replace(
    "{{ '<|im_start|>assistant\n' }}", "{{ '<|im_start|>assistant\n<think>\n\n</think>\n\n' }}"
)
LLAMA3 = (
    "{{ '<|begin_of_text|>' }}"
    "{%- for message in messages -%}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{ message['content'] | trim + '<|eot_id|>' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif -%}"
)
# Refuses a system message; a turn ends with a token that is not the tokenizer's EOS.
GEMMA2 = (
    "{{ '<bos>' }}"
    "{%- if messages[0]['role'] == 'system' -%}{{ raise_exception('no system role') }}{%- endif -%}"
    "{%- for message in messages -%}"
    "{%- set role = 'model' if message['role'] == 'assistant' else 'user' -%}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
)

# Template, what ends an attempt, EOS, BOS, further special tokens.
FAMILIES = {
    "qwen2": (QWEN2, "<|im_end|>", "<|im_end|>", None, ["<|im_start|>"]),
    "qwen3": (QWEN3, "<|im_end|>", "<|im_end|>", None, ["<|im_start|>"]),
    "llama3": (LLAMA3, "<|eot_id|>", "<|eot_id|>", "<|begin_of_text|>",
               ["<|start_header_id|>", "<|end_header_id|>"]),
    "gemma2": (GEMMA2, "<end_of_turn>", "<eos>", "<bos>", ["<start_of_turn>", "<end_of_turn>"]),
}  # fmt: skip
