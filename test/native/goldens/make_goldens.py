"""Makes small random checkpoints of every supported architecture and records what Transformers
computes with them, in fp32 on the CPU: logits and greedy tokens.

    python -m venv venv && venv/bin/pip install torch transformers safetensors
    venv/bin/python test/native/goldens/make_goldens.py

Weights are random bf16, norms and biases included. Every step is a forward pass over all tokens,
without a cache. Sizes are awkward on purpose; contexts are small enough to be exceeded.
"""

import json
import math
import pathlib

import torch
import transformers
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
VOCAB = 104
STEPS = 64
SHORT, LONG = 40, 150  # prompt tokens; SHORT + STEPS stays within the original contexts below
COMMON = dict(
    vocab_size=VOCAB, num_hidden_layers=3, hidden_size=40, intermediate_size=56, head_dim=64,
    max_position_embeddings=512, bos_token_id=0, eos_token_id=1, pad_token_id=0,
    tie_word_embeddings=False)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=64)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=128)
LONGROPE = dict(rope_type="longrope", rope_theta=10000.0,
                original_max_position_embeddings=128,
                short_factor=[1.0 + 0.01 * i for i in range(48)],
                long_factor=[1.1 + 0.15 * i for i in range(48)])


def default(theta, **more):
    return dict(rope_type="default", rope_theta=theta, **more)


# name: (architecture, its configuration, whether config.json is in the form of Transformers 4)
CASES = {
    "llama-3.1": ("Llama", dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=2,
                                rope_parameters=LLAMA3), True),
    "llama-3.2-tied": ("Llama", dict(num_attention_heads=4, num_key_value_heads=1,
                                     tie_word_embeddings=True, attention_bias=True, mlp_bias=True,
                                     rope_parameters=LLAMA3), False),
    "llama-linear": ("Llama", dict(num_attention_heads=4, num_key_value_heads=2,
                                   rope_parameters=dict(rope_type="linear", factor=4.0,
                                                        rope_theta=10000.0)), True),
    "mistral": ("Mistral", dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=2, sliding_window=None,
                                rope_parameters=default(1e6)), False),
    "qwen2": ("Qwen2", dict(hidden_size=56, num_attention_heads=7, num_key_value_heads=1, use_sliding_window=False,
                            rope_parameters=default(1e6)), True),
    "qwen2-yarn": ("Qwen2", dict(hidden_size=56, num_attention_heads=14, num_key_value_heads=2,
                                 use_sliding_window=False, max_position_embeddings=128,
                                 rope_parameters=YARN), False),
    "qwen3": ("Qwen3", dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=2, tie_word_embeddings=True,
                            use_sliding_window=False, rope_parameters=default(1e6)), False),
    "phi-3": ("Phi3", dict(hidden_size=192, head_dim=96, num_attention_heads=2,
                           num_key_value_heads=2, sliding_window=1024,
                           original_max_position_embeddings=128, rope_parameters=LONGROPE), True),
    "glm": ("Glm", dict(num_attention_heads=8, num_key_value_heads=2, attention_bias=True,
                        rope_parameters=default(1e5, partial_rotary_factor=0.5)), False),
}


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            values *= 0.5
        elif "norm" in name:
            values = 1 + 0.2 * values
        elif "embed" in name:
            pass
        else:
            values *= 1.5 / math.sqrt(parameter.shape[-1])
        parameter.data = values.bfloat16().float()


@torch.no_grad()
def run(model, length, seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(2, VOCAB, (length,), generator=generator).tolist()
    prompt = list(tokens)
    logits, margins = [], []
    for step in range(STEPS + 1):
        out = model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
        if step in (0, 1, STEPS // 2, STEPS):
            logits.append({"step": step, "logits": [round(float(x), 6) for x in out]})
        best = out.topk(2).values
        margins.append(float(best[0] - best[1]))
        tokens.append(int(out.argmax()))
    # The last token was predicted only for its logits.
    return {"prompt": prompt, "greedy": tokens[length:length + STEPS], "logits": logits,
            "smallest_margin": round(min(margins), 6)}


def as_transformers_4(config):
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    if rope["rope_type"] == "longrope":
        rope["type"] = rope.pop("rope_type")
    config["torch_dtype"] = config.pop("dtype")


def as_chatglm(config, tensors):
    """The same model as the file of THUDM/glm-4-9b-chat names it."""
    names = {"model.embed_tokens.": "transformer.embedding.word_embeddings.",
             "model.norm.": "transformer.encoder.final_layernorm.",
             "lm_head.": "transformer.output_layer.",
             "model.layers.": "transformer.encoder.layers.",
             "self_attn.o_proj": "self_attention.dense", "mlp.gate_up_proj": "mlp.dense_h_to_4h",
             "mlp.down_proj": "mlp.dense_4h_to_h"}
    out = {}
    for name, tensor in tensors.items():
        if ".q_proj." in name:
            parts = [tensors[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            name, tensor = name.replace("self_attn.q_proj", "self_attention.query_key_value"), torch.cat(parts)
        elif ".k_proj." in name or ".v_proj." in name:
            continue
        for old, new in names.items():
            name = name.replace(old, new)
        out[name] = tensor.contiguous()
    return {
        "architectures": ["ChatGLMModel"], "model_type": "chatglm", "add_bias_linear": False,
        "add_qkv_bias": True, "apply_query_key_layer_scaling": True,
        "apply_residual_connection_post_layernorm": False,
        "ffn_hidden_size": config["intermediate_size"], "hidden_size": config["hidden_size"],
        "kv_channels": config["head_dim"], "layernorm_epsilon": config["rms_norm_eps"],
        "multi_query_attention": True, "multi_query_group_num": config["num_key_value_heads"],
        "num_attention_heads": config["num_attention_heads"], "num_layers": config["num_hidden_layers"],
        "original_rope": True, "padded_vocab_size": config["vocab_size"], "post_layer_norm": True,
        "rmsnorm": True, "rope_ratio": 10, "seq_length": config["max_position_embeddings"],
        "tie_word_embeddings": False, "torch_dtype": "bfloat16", "eos_token_id": [1]}, out


def write(name, config, tensors, golden):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    margin = min(run["smallest_margin"] for run in golden["runs"])
    print(f"{name}: {sum(t.nbytes for t in tensors.values())} bytes, smallest margin {margin}")


def main():
    for seed, (name, (architecture, values, four)) in enumerate(CASES.items()):
        config = getattr(transformers, f"{architecture}Config")(**{**COMMON, **values})
        config._attn_implementation = "eager"
        model = getattr(transformers, f"{architecture}ForCausalLM")(config).float().eval()
        randomise(model, seed)
        golden = {"transformers": transformers.__version__,
                  "runs": [run(model, SHORT, seed), run(model, LONG, 100 + seed)]}
        saved = {key: value for key, value in config.to_dict().items()}
        saved.update(architectures=[f"{architecture}ForCausalLM"], dtype="bfloat16")
        if architecture == "Phi3":
            del saved["head_dim"]  # its published files leave it to hidden_size / num_attention_heads
        if four:
            as_transformers_4(saved)
        tensors = {key: value.bfloat16().contiguous() for key, value in model.state_dict().items()
                   if not (config.tie_word_embeddings and key == "lm_head.weight")}
        write(name, saved, tensors, golden)
        if name == "glm":
            write("chatglm", *as_chatglm(saved, tensors), golden)


main()
