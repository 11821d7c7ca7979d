"""The dimensions of a decoder, resolved; what they cost in parameters and arithmetic is computed without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Shape:
    """Everything that `gpt_module.Decoder` needs to know."""

    depth: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    mlp_width: int
    context: int
    norm: Literal["layer", "rms"] = "rms"
    position: Literal["learned", "rope"] = "rope"
    activation: Literal["gelu", "swiglu"] = "swiglu"
    qk_norm: bool = True
    bias: bool = False
    tied: bool = True
    rope_theta: float = 10000.0
    norm_epsilon: float = 1e-6
    dropout: float = 0.0
    qkv_bias: bool = False
    """Biases of queries, keys and values alone, as Qwen2 has them; `bias` has all of them."""
    out_bias: bool = False
    rope_scaling: tuple[float, ...] = ()
    """Of rotary frequencies: (factor,) divides all, (factor, low, high, original context) is Llama 3's rule."""
    window: int = 0
    """Tokens that attention reaches back, itself counted; 0 for all."""
    window_from: int = 0
    """The first layer that has a window."""

    @property
    def family(self) -> Literal["gpt2", "llama", "mistral", "qwen2", "qwen3", "ropewalk"]:
        """The transformers architecture that computes the same; `ropewalk` where there is none."""
        modern = self.norm == "rms" and self.position == "rope" and self.activation == "swiglu"
        biases = (self.bias or self.qkv_bias, self.bias or self.out_bias, self.bias)
        if modern and self.qk_norm and biases in ((False, False, False), (True, True, False)):
            return "qwen3"
        if modern and not self.qk_norm and biases == (True, False, False):
            return "qwen2"
        if modern and not self.qk_norm and self.window and not any(biases) and not self.window_from:
            return "mistral"
        if modern and not self.qk_norm and not self.window and biases[0] == biases[1]:
            return "llama"
        classic = self.norm == "layer" and self.position == "learned" and self.activation == "gelu" and self.bias
        if classic and not self.qk_norm and not self.window and self.kv_heads == self.heads and self.head_width * self.heads == self.width:
            return "gpt2"
        return "ropewalk"

    def block_parameters(self) -> int:
        """Weights of one block's matrices, without norms and biases."""
        attention = self.width * self.head_width * (2 * self.heads + 2 * self.kv_heads)
        return attention + self.width * self.mlp_width * (3 if self.activation == "swiglu" else 2)

    def parameters(self, vocab_size: int) -> int:
        """All weights, a tied head counted once."""
        norm = self.width * (2 if self.norm == "layer" else 1)
        block = self.block_parameters() + 2 * norm + (2 * self.head_width if self.qk_norm else 0)
        if self.bias or self.qkv_bias:
            block += self.head_width * (self.heads + 2 * self.kv_heads)
        if self.out_bias and not self.bias:
            block += self.width
        if self.bias:
            block += 2 * self.width + self.mlp_width * (2 if self.activation == "swiglu" else 1)
        outer = vocab_size * self.width * (1 if self.tied else 2) + norm
        return self.depth * block + outer + (self.context * self.width if self.position == "learned" else 0)

    def flops_per_token(self, vocab_size: int, length: int) -> int:
        """Training (forward and backward): 6 a weight used, and attention counted dense (PaLM, appendix B)."""
        weights = self.depth * self.block_parameters() + vocab_size * self.width
        return 6 * weights + 12 * self.depth * self.heads * self.head_width * length
