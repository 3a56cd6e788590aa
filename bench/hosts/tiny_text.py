"""A text encoder for hosts without weights: T5 of diffusers' pipelines, tiny, random, one token a letter."""

from __future__ import annotations

import string
from typing import Any

WIDTH = 32  # of an embedding


def tiny_text_encoder() -> dict[str, Any]:
    """`tokenizer` and `text_encoder` as pipelines take them, nothing downloaded. Weights follow torch's seed."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    vocabulary = {token: i for i, token in enumerate(["<pad>", "</s>", "<unk>", *string.printable])}
    letters = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    letters.pre_tokenizer = Split(Regex("."), "isolated")  # type: ignore[assignment]
    config = T5Config(
        vocab_size=len(vocabulary), d_model=WIDTH, d_kv=8, d_ff=64, num_layers=2, num_heads=4, pad_token_id=0
    )
    return {
        "tokenizer": PreTrainedTokenizerFast(
            tokenizer_object=letters, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        ),
        "text_encoder": T5EncoderModel(config).eval(),
    }
