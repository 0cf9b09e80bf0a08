# One round of transformers on the CPU; prints what `glass generate --json` prints.
import json
import os
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers

folder, ids, generate, threads, dtype = sys.argv[1:]
ids = [int(id) for id in ids.split(",")]
torch.set_num_threads(int(threads))
dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[dtype]

start = time.perf_counter()
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
load = time.perf_counter() - start


@torch.inference_mode()
def forward(ids, cache):
    out = model(torch.tensor([ids]), past_key_values=cache, use_cache=True, logits_to_keep=1)
    return out.logits[0, -1], out.past_key_values


start = time.perf_counter()
logits, cache = forward(ids, None)
prefill = time.perf_counter() - start

start = time.perf_counter()
new = [int(logits.argmax())]
while len(new) < int(generate):
    logits, cache = forward(new[-1:], cache)
    new.append(int(logits.argmax()))
decode = time.perf_counter() - start

try:
    with open("/proc/self/status") as status:
        peak = [int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")][0]
except OSError:
    peak = None
print(json.dumps({
    "sequences": [{"ids": new}],
    "load_seconds": load,
    "prefill_tokens_per_second": len(ids) / prefill,
    "decode_tokens_per_second": (len(new) - 1) / decode,
    "peak_memory_bytes": peak,
    "version": f"{transformers.__version__} on torch {torch.__version__}, {torch.get_num_threads()} threads",
}))
