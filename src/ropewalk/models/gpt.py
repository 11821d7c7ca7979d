"""The decoder: the shapes of GPT-2, Llama, Mistral, Qwen2 and Qwen3 from one config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from ropewalk.core.load import nearest
from ropewalk.core.units import Count
from ropewalk.models.architecture import Architecture
from ropewalk.models.presets import PRESETS
from ropewalk.models.shape import Shape

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder

Positive = Annotated[Count, Field(gt=0)]


class GPT(Architecture, type="gpt"):
    """A decoder-only transformer; what a field leaves out comes from the preset."""

    preset: str = "gpt2-tiny"
    """A named shape: gpt2-tiny, gpt2-124m (or 124m), gpt2-350m (or 350m), llama-tiny, llama-60m, llama-1b, qwen3-tiny, qwen3-60m or
    qwen3-0.6b; `dial` takes all from `depth`: 64 times as wide, heads of 128 (nanochat's rule)."""
    depth: Positive | None = None
    """Blocks."""
    width: Positive | None = None
    """Size of the residual stream."""
    heads: Positive | None = None
    """Attention heads."""
    head_width: Positive | None = None
    """Size of a head; the width shared evenly when left out."""
    kv_heads: Positive | None = None
    """Heads of keys and values (grouped-query attention); as many as heads when left out."""
    mlp_width: Positive | None = None
    """Hidden size of the feed-forward part; 4 times the width, or 8/3 for swiglu, when left out."""
    context: Positive | None = None
    """Longest sequence."""
    norm: Literal["layer", "rms"] | None = None
    """LayerNorm or RMSNorm, before each part."""
    position: Literal["learned", "rope"] | None = None
    """Learned position embeddings or rotary ones."""
    activation: Literal["gelu", "swiglu"] | None = None
    """Of the feed-forward part."""
    qk_norm: bool | None = None
    """RMSNorm on each head's queries and keys."""
    bias: bool | None = None
    """Biases in the linear layers."""
    tied: bool | None = None
    """Whether the output layer is the embedding."""
    rope_theta: Annotated[float, Field(gt=0)] | None = None
    """Base of the rotary frequencies."""
    rope_scaling: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    """Slower rotary positions for a longer context: `[factor]` divides their frequencies; `[factor, low, high, original context]` is
    Llama 3's rule."""
    window: Positive | None = None
    """Tokens that attention reaches back, itself counted; all when left out."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """On embeddings and on what each part adds to the residual stream."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.preset not in PRESETS:
            raise ValueError(f"unknown preset {self.preset!r} ({nearest(self.preset, sorted(PRESETS))})")
        if self.preset == "dial" and self.depth is None:
            raise ValueError("the preset dial needs a depth")
        if self.rope_scaling is not None and len(self.rope_scaling) not in (1, 4):
            raise ValueError("rope_scaling is [factor] or [factor, low, high, original context]")
        shape = self.shape()
        if shape.width % shape.heads and self.head_width is None:
            raise ValueError(f"width {shape.width} can't be shared by {shape.heads} heads")
        if shape.heads % shape.kv_heads:
            raise ValueError(f"{shape.heads} heads can't share {shape.kv_heads} kv_heads")
        if shape.position == "rope" and shape.head_width % 2:
            raise ValueError(f"rotary positions need an even head width, not {shape.head_width}")
        return self

    @property
    def context_tokens(self) -> int:
        """Longest sequence, resolved."""
        return self.shape().context

    def shape(self) -> Shape:
        own = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None and name != "preset"}
        merged = {**PRESETS[self.preset], **own}
        if self.preset == "dial":
            width = merged.setdefault("width", 64 * merged.get("depth", 1))
            merged.setdefault("heads", max(1, width // merged.get("head_width", min(width, 128))))
        width, heads = merged["width"], merged["heads"]
        factor = 8 / 3 if merged["activation"] == "swiglu" else 4
        merged.setdefault("kv_heads", heads)
        merged.setdefault("head_width", width // heads)
        merged.setdefault("mlp_width", max(8, round(width * factor / 32) * 32))
        return Shape(**merged)

    def build(self, vocab_size: int, seed: int) -> Decoder:
        from ropewalk.models.gpt_module import Decoder

        return Decoder(self.shape(), vocab_size, seed)
