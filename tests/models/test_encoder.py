"""Our encoder gives what transformers' BERT gives on the same folder, padding or not, and its folder opens there again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from head_kit import make_encoder
from ropewalk.core.errors import DataError
from ropewalk.models.head_folder import load_encoder, load_headed, save_headed
from ropewalk.models.head_module import FeatureHead, Headed, PairHead, SpanHead


def test_hidden_states_are_those_of_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = make_encoder(tmp_path / "bert")
    theirs = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    tokens = torch.tensor([[2, 7, 8, 3, 9, 10, 3], [2, 7, 3, 11, 3, 0, 0]])
    kinds = torch.tensor([[1, 1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 0, 0]])
    with torch.no_grad():
        wanted = theirs(input_ids=tokens, attention_mask=(kinds > 0).long(), token_type_ids=(kinds == 2).long()).last_hidden_state
        found = load_encoder(folder)(tokens, kinds)
    seen = kinds > 0
    assert torch.allclose(found[seen], wanted[seen], atol=2e-6)


def test_padding_changes_nothing(tmp_path: Path) -> None:
    encoder = load_encoder(make_encoder(tmp_path / "bert"))
    tokens, kinds = torch.tensor([[2, 7, 8, 3]]), torch.tensor([[1, 1, 2, 1]])
    padded = (torch.tensor([[2, 7, 8, 3, 0, 0]]), torch.tensor([[1, 1, 2, 1, 0, 0]]))
    with torch.no_grad():
        assert torch.allclose(encoder(tokens, kinds), encoder(*padded)[:, :4], atol=1e-6)
        lengths = encoder.embed(tokens).norm(dim=-1)
    assert torch.allclose(lengths, torch.ones_like(lengths))


@pytest.mark.parametrize("kind", ["sentences", "windows", "pairs"])
def test_a_head_is_saved_beside_its_encoder_and_read_again(tmp_path: Path, kind: str) -> None:
    start = make_encoder(tmp_path / "bert")
    encoder = load_encoder(start)
    head = {"sentences": FeatureHead(5), "windows": SpanHead(16), "pairs": PairHead(5, davidson=True)}[kind]
    with torch.no_grad():
        for tensor in [*head.parameters(), *encoder.parameters()]:
            tensor.add_(0.25)
    module = Headed(head, encoder if kind == "windows" else None, kind, {"davidson": True})
    save_headed(tmp_path / "out", module, start)
    found = load_headed(tmp_path / "out")
    assert found.kind == kind
    assert all(torch.equal(tensor, head.state_dict()[name]) for name, tensor in found.head.state_dict().items())
    trained = encoder if kind == "windows" else load_encoder(start)
    assert all(torch.equal(tensor, trained.state_dict()[name]) for name, tensor in found.encoder.state_dict().items())
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertModel.from_pretrained(tmp_path / "out", add_pooling_layer=False)
    assert torch.equal(theirs.embeddings.word_embeddings.weight, found.encoder.embeddings.word_embeddings.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt_neox"}, "model_type 'gpt_neox' is not supported"),
        ({"hidden_act": "swish"}, "hidden_act 'swish' is not supported"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"num_hidden_layers": 3}, "16 missing"),
        ({"hidden_size": 32}, "of another shape"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = make_encoder(tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(DataError, match=message):
        load_encoder(folder)


def test_a_folder_without_a_head_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no head that can be read"):
        load_headed(make_encoder(tmp_path / "bert"))


@pytest.mark.parametrize("davidson", [False, True])
def test_swapping_the_answers_swaps_the_logits_to_the_last_bit(davidson: bool) -> None:
    generator = np.random.default_rng(0)
    head = PairHead(7, davidson, torch.from_numpy(generator.normal(size=7)).float(), torch.full((7,), 1.7))
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.from_numpy(generator.normal(size=tuple(parameter.shape))))
    features = torch.from_numpy(generator.normal(size=(50, 2, 7))).float()
    for row in features:
        straight, swapped = head(row[None]), head(row.flip(0)[None])
        assert torch.equal(straight[:, [1, 0, 2]], swapped)
    with torch.no_grad():
        spread = float(head(features)[:, 2].std())
    assert spread == 0 if davidson else spread > 0
