"""`kd-lab pretrain` on a small corpus from start to finish; a mistake is one line, exit code 2, and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import masked_checkpoints
import pytest
import torch
import transformers
import yaml
from safetensors.torch import load_file

from kd_lab.__main__ import command
from kd_lab.core import results
from kd_lab.core.paths import root

SMALL = [
    *("pretrain", "corpus=text", "corpus.path=more.txt", "teacher=checkpoint", "teacher.model.path=bert"),
    *("model=checkpoint", "model.path=bert", "model.layers=2", "tokenizer.max_tokens=16", "trainer.device=cpu"),
    *("teacher.trainer.device=cpu", "trainer.batch_size=4", "teacher.trainer.batch_size=4", "trainer.max_steps=6"),
    *("teacher.trainer.max_steps=6", "name=small"),
]


@pytest.fixture(autouse=True)
def files(workplace: Path) -> None:
    masked_checkpoints.write(workplace / "bert")
    masked_checkpoints.write_corpus(workplace / "more.txt")


def test_a_student_is_pre_trained_found_again_and_fine_tuned(toy_csv, capsys):
    assert command(SMALL) == 0
    told = capsys.readouterr()
    assert "Fine-tune it: kd-lab model=checkpoint model.path=multirun/small/model" in told.out
    assert "done pre-train teacher" in told.err
    result = results.read(Path("multirun/small"))
    held_out, theirs = result.metrics["held_out"], result.teacher["metrics"]["held_out"]
    for one in (held_out, theirs):
        assert 1 < one["perplexity"] < 80
        assert one["before"]["pieces"] == one["pieces"] > 0
    assert set(result.fingerprint) == {"corpus", "teacher", "masked_lm", "result"}
    assert result.cost["tokens"] == 6 * 4 * 16
    assert result.cost["tokens_per_s"] > 0
    assert result.cost["peak_memory_mib"] > 100
    assert result.versions["torch"]
    assert result.history[-1]["update"] == 6

    folder = Path("multirun/small/model")
    names = {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in folder.iterdir()} == names
    model, loaded = transformers.AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not any(loaded.values())
    assert model.config.num_hidden_layers == 2
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.mask_token_id == 4
    assert tokenizer("cat again").input_ids[0] == 2

    before = (Path("multirun/small") / results.FILE).read_bytes()
    assert command(SMALL) == 0
    again = capsys.readouterr()
    assert "pre-train" not in again.err, "it had finished"
    assert again.out == told.out
    assert (Path("multirun/small") / results.FILE).read_bytes() == before

    tuned = ["model=checkpoint", f"model.path={folder}", "teacher=none", "loss=cross_entropy", "trainer.max_epochs=1"]
    csv = ["dataset=csv", f"dataset.path={toy_csv}", "evaluation=none", "tracking=none", "trainer.device=cpu"]
    assert command([*csv, *tuned, "tokenizer.max_tokens=16", "optimizer.encoder_lr=0", "name=tuned"]) == 0
    [saved] = Path("multirun/tuned").glob("*/model/model.safetensors")
    given, end = load_file(folder / "model.safetensors"), load_file(saved)
    kept = [name for name in end if name.startswith("bert.") and "pooler" not in name]
    assert len(kept) > 30
    assert all(torch.equal(end[name], given[name]) for name in kept), "it starts from them, and its head alone learned"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["corpus.path=nowhere.txt"], "corpus.path nowhere.txt: expected texts without labels, got no such file"),
        (["corpus=text"], None),
        (["corpus=foo"], "override corpus: expected one of hub, text, wikipedia, wikitext2, got foo"),
        (["teacher=ensemble"], "override teacher: expected one of bert_base, checkpoint, minilm, mpnet"),
        (["foo=1"], "override foo: expected an option that conf/ has"),
        (["trainer.max_steps=-1"], "trainer.max_steps: expected a whole number from 0"),
        (["trainer.devices=2", "trainer.device=cuda"], "expected an NVIDIA GPU here"),
        (["masking.share=2"], "masking.share: expected a number above 0 to below 1, got 2"),
        (["masking.masked=0.95"], "two shares of one whole"),
        (["model=lstm_attention"], "model: expected an encoder, got lstm_attention"),
        (["teacher=none"], "loss term 'kl': expected a teacher, for its logits, got none"),
        (["loss.weights.kl=-1"], "loss.weights.kl"),
        (["tokenizer.max_tokens=600"], "tokenizer.max_tokens: expected at most 66, as bert has positions, got 600"),
        (["model=distilbert_mini"], "expected a student that reads the teacher's pieces"),
        (["name=a/b"], "name: expected a name without /"),
        (["name=../a"], "name"),
        (["seed=x"], "seed: expected a whole number"),
        (["teacher.tune=some"], "teacher.tune: expected all or head, got 'some'"),
        (["-m", "seed=0,1"], "kd-lab pretrain: expected overrides, --cfg or --help, got -m"),
        (["corpus.text_column=words", "corpus.path=rows.csv"], "Name it: corpus.text_column=NAME"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(given, words, capsys):
    Path("rows.csv").write_text("a,b\n1,2\n")
    chosen = [one.partition("=")[0] for one in given if "." not in one.partition("=")[0]]
    base = [one for one in SMALL if not one.startswith(tuple(f"{group}." for group in chosen))]
    if words is None:
        base, words = ["pretrain"], "corpus.path: expected a value, got none. Give it, e.g. corpus.path=VALUE."
    assert command([*base, *given]) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.strip().splitlines()[-1].startswith("kd-lab: ")
    assert not Path("multirun").exists()


def test_help_and_config_are_shown(capsys):
    assert command(["pretrain", "--help"]) == 0
    told = capsys.readouterr().out
    for group in ("corpus", "teacher", "loss"):
        [line] = [line for line in told.splitlines() if line.startswith(f"  {group} ")]
        for path in (root() / "conf" / "pretrain" / group).glob("*.yaml"):
            assert path.stem in line
    assert command([*SMALL, "--cfg", "loss.weights.kl=3"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["loss"]["weights"]["kl"] == 3
    assert shown["teacher"]["tune"] == "head"


def test_a_loss_that_diverges_is_told_with_exit_code_1(capsys):
    assert command([*SMALL, "optimizer.encoder_lr=1e38"]) == 1
    assert "failed: the loss is not finite at update" in capsys.readouterr().err


@pytest.mark.integration
def test_one_that_was_killed_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    line = [*SMALL, "trainer.max_steps=40", "trainer.checkpoint_every=5"]
    environment = {**os.environ, "KD_LAB_CACHE": str(tmp_path / "killed"), "PYTHONPATH": str(root())}
    with subprocess.Popen([sys.executable, "-m", "kd_lab", *line, "name=killed"], env=environment) as running:
        ends = time.monotonic() + 300
        while time.monotonic() < ends and running.poll() is None:
            # Of the student: the teacher's six updates leave none but at their end.
            begun = list((tmp_path / "killed" / "masked_lm").glob(".*.unfinished/last.ckpt"))
            if begun and list((tmp_path / "killed" / "masked_lm").glob("[0-9a-f]*/manifest.json")):
                break
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    for name, cache in (("killed", tmp_path / "killed"), ("whole", tmp_path / "whole")):
        monkeypatch.setenv("KD_LAB_CACHE", str(cache))
        assert command([*line, f"name={name}"]) == 0
    one, two = (load_file(f"multirun/{name}/model/model.safetensors") for name in ("killed", "whole"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert results.read(Path("multirun/killed")).history == results.read(Path("multirun/whole")).history
