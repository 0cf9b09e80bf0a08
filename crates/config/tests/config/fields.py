"""Writes fields.json: every field that a family's config class in transformers knows, with a value that is not its default.

python fields.py > fields.json      # with transformers 5.23; needs no torch
"""

import dataclasses
import json
import pathlib
import re
import sys

from transformers import PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

here = pathlib.Path(__file__).parent
files = json.loads((here / "fixtures.json").read_text())
base_fields = {field.name for field in dataclasses.fields(PretrainedConfig)}
lists = {
    "layer_types": ["full_attention", "sliding_attention", "full_attention"],
    "no_rope_layers": [0, 1, 1],
    "mlp_only_layers": [1],
    "eos_token_id": [5, 6],
}
sizes = {
    "vocab_size": 256, "hidden_size": 96, "intermediate_size": 80, "num_hidden_layers": 4, "num_attention_heads": 2,
    "num_key_value_heads": 4, "head_dim": 24, "max_position_embeddings": 64, "num_local_experts": 3, "num_experts": 3,
    "num_experts_per_tok": 1, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24, "decoder_sparse_step": 2,
    "sliding_window": 5, "sliding_window_pattern": 2, "no_rope_layer_interval": 2, "max_window_layers": 1,
    "query_pre_attn_scalar": 24, "original_max_position_embeddings": 64, "pretraining_tp": 2,
}
rope = {"rope_type": "linear", "factor": 2.0, "rope_theta": 12345.0}


def other(name, default, inside):
    if name in lists:
        return lists[name]
    if name in sizes:
        return sizes[name] if inside.get(name) != sizes[name] else sizes[name] + 1
    if name == "rope_parameters":
        if "full_attention" in (inside.get(name) or {}):
            return {"full_attention": rope, "sliding_attention": {"rope_type": "default", "rope_theta": 777.0}}
        return dict(rope, llama_4_scaling_beta=0.2) if "llama_4_scaling_beta" in inside[name] else rope
    if name in ("hidden_act", "hidden_activation"):
        return "relu"
    now = inside.get(name, default)
    if isinstance(now, bool):
        return not now
    if isinstance(now, int):
        return now + 3
    if isinstance(now, float):
        return now * 0.5 + 0.125
    return True if "use_" in name else 3


fields = {}
for family, dialects in files.items():
    cls, inside = CONFIG_MAPPING[family], dialects["version_5"]
    own = {f.name: f.default for f in dataclasses.fields(cls) if f.name not in base_fields}
    source = sys.modules[cls.__module__].__file__.replace("configuration_", "modeling_")
    # What the model reads and the class has no default for, and what it takes from older files.
    text = pathlib.Path(source).read_text() + pathlib.Path(sys.modules[cls.__module__].__file__).read_text()
    for name in ("head_dim", "partial_rotary_factor", "rope_local_base_freq", "sliding_window_pattern"):
        if re.search(rf'"{name}"', text):
            own.setdefault(name, None)
    values = {name: other(name, default, inside) for name, default in own.items()}
    if "partial_rotary_factor" in values:
        values["partial_rotary_factor"] = 1.0
    if "rope_local_base_freq" in values:
        values["rope_local_base_freq"] = 4321.0
    fields[family] = values
lines = [f"{json.dumps(family)}: {json.dumps(values)}" for family, values in fields.items()]
print("{\n" + ",\n".join(lines) + "\n}")
