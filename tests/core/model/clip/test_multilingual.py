"""Text towers of other languages, whose tokenizer is one of Hugging Face's library, as that of SigLIP 2."""

import json
import sys
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.model.clip.prompts import TextOptions
from eufcc_cli.core.taxonomy.names import LANGUAGES, glossary
from tests.core.model.clip.test_clip import TINY


def folder_of_model(folder: Path) -> Path:
    """SigLIP 2's layout in small: random weights, and a tokenizer that knows the words of the glossary."""
    text = {
        **TINY["text_cfg"],
        "hf_tokenizer_name": "its own folder",
        "tokenizer_kwargs": {"clean": "canonicalize"},
    }
    text |= {"vocab_size": 9000, "pool_type": "last", "no_causal_mask": True, "proj_bias": True}
    config = {**TINY, "text_cfg": text, "custom_text": True}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    torch.manual_seed(0)
    arguments = {name: value for name, value in config.items() if name != "custom_text"}
    save_file(open_clip.CustomTextCLIP(**arguments).state_dict(), folder / "open_clip_model.safetensors")
    words = sorted(
        {
            word
            for tags in glossary().values()
            for names in tags.values()
            for texts in names.values()
            for text in texts
            for word in text.lower().split()
        }
    )
    vocabulary = {word: number for number, word in enumerate(["<pad>", "<eos>", "<unk>", *words][:9000])}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "normalizer": {"type": "Lowercase"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "<eos>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**about, "unk_token": "<unk>"}))
    return folder


def test_a_tower_reads_every_language_of_the_glossary(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs eufcc[multilingual]")
    spec = f"clip:local-dir:{folder_of_model(tmp_path)}"
    root = Root(tmp_path / "root")
    found = {}
    for language in LANGUAGES:
        model = load_model(spec, root, "cpu", "fp32", texts=TextOptions(names=language))
        found[language] = model.network.embeddings()["materials"]  # type: ignore[union-attr,operator]
        number = model.vocabulary.facets["materials"].index["fusta"]
        (text,) = model.network.texts["materials"][number]  # type: ignore[union-attr,index]
        assert glossary()["materials"]["fusta"][language][0] in text
        tokens = model.network.tokenizer([text])  # type: ignore[union-attr,operator]
        assert tokens.shape == (1, 24)
    for language in LANGUAGES:
        assert torch.isfinite(found[language]).all()
        assert language == "en" or not torch.allclose(found["en"], found[language])


def test_without_the_library_one_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match="no tokenizer: ") as caught:
        load_model(f"clip:local-dir:{folder_of_model(tmp_path)}", Root(tmp_path), "cpu", "fp32")
    assert caught.value.hint == "pip install 'eufcc[multilingual]'"
