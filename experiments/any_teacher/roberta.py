"""A RoBERTa-type classifier that transformers alone fits on CLINC150 plus and saves with its labels shuffled.

    python -m experiments.any_teacher.roberta TO            # reads paths.data, or KD_LAB_DATA

Three layers of width 256 from random weights, a byte-level BPE of train's own text, four epochs. kd_lab has no part
in it: it is what somebody brings along. Prints the accuracy on validation that transformers itself gives it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow.parquet
import torch
from tokenizers import ByteLevelBPETokenizer, processors
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForSequenceClassification

from kd_lab.cli.compose import compose

EPOCHS, ROWS, PIECES, RATE = 4, 64, 4000, 6e-4
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def tokenizer(texts: list[str]) -> Any:
    """A byte-level BPE that frames a text as RoBERTa's does."""
    pieces = ByteLevelBPETokenizer()
    pieces.train_from_iterator(texts, vocab_size=PIECES, special_tokens=SPECIAL)
    start, pad, end, unknown, mask = SPECIAL
    named = {"bos_token": start, "eos_token": end, "pad_token": pad, "unk_token": unknown, "mask_token": mask}
    found = PreTrainedTokenizerFast(tokenizer_object=pieces._tokenizer, cls_token=start, model_max_length=64, **named)
    found.backend_tokenizer.post_processor = processors.RobertaProcessing((end, 2), (start, 0))
    return found


def main() -> None:
    """Fits it, prints its accuracy, saves it in TO."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m experiments.any_teacher.roberta", None, __doc__, formatter_class=raw)
    parser.add_argument("to", type=Path)
    to = parser.parse_args().to
    torch.manual_seed(0)
    hub = Path(str(compose(["dataset=clinc"]).dataset.path))
    files = {split: sorted(hub.glob(f"{split}-*.parquet")) for split in ("train", "validation")}
    train, validation = (pd.concat(map(pd.read_parquet, files[split])) for split in ("train", "validation"))
    schema = pyarrow.parquet.read_schema(files["train"][0])
    names = datasets.Features.from_arrow_schema(schema)["intent"].names
    order = np.random.default_rng(7).permutation(len(names))
    place = np.argsort(order)  # of a class of the data among the shuffled
    shuffled = {number: names[at] for number, at in enumerate(order)}
    read = tokenizer(train.text.tolist())
    shape = {"hidden_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 768}
    labels = {"id2label": shuffled, "label2id": {name: number for number, name in shuffled.items()}}
    config = RobertaConfig(
        vocab_size=PIECES, **shape, max_position_embeddings=66, pad_token_id=1, type_vocab_size=1, **labels
    )
    model = RobertaForSequenceClassification(config).train()
    stepper = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    steps = EPOCHS * (-(-len(train) // ROWS))
    schedule = torch.optim.lr_scheduler.OneCycleLR(stepper, RATE, total_steps=steps, pct_start=0.1)

    def logits(texts: list[str]) -> torch.Tensor:
        batch = read(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
        said: torch.Tensor = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        return said

    gold = torch.tensor(place[train.intent.to_numpy()])
    for epoch in range(EPOCHS):
        rows = np.random.default_rng(epoch).permutation(len(train))
        for at in range(0, len(rows), ROWS):
            some = rows[at : at + ROWS]
            said = logits(train.text.iloc[some].tolist())
            loss = torch.nn.functional.cross_entropy(said, gold[some], label_smoothing=0.05)
            stepper.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            stepper.step()
            schedule.step()
        print(f"epoch {epoch}: loss {loss.item():.3f}", flush=True)
    model.eval()
    hits = 0
    with torch.inference_mode():
        for at in range(0, len(validation), 256):
            some = validation.iloc[at : at + 256]
            hits += int((logits(some.text.tolist()).argmax(1).numpy() == place[some.intent.to_numpy()]).sum())
    print(f"transformers: {hits} of {len(validation)} rows of validation right, {100 * hits / len(validation):.1f} %")
    model.save_pretrained(to)
    read.save_pretrained(to)


if __name__ == "__main__":
    main()
