"""The command line from start to finish on a small CSV; the user's mistakes: one line, exit code 2, nothing left."""

import gc
import json
import subprocess
import sys

import pytest
from quick_lines import EPOCH, STUDENT, TEACHER, TOY

from kd_lab.__main__ import command
from kd_lab.core import results
from kd_lab.evaluation import latency
from kd_lab.training.lightning_module import Distillation

pytestmark = pytest.mark.usefixtures("workplace")
QUICK = [*TOY, *STUDENT, EPOCH, *TEACHER]
LARGE = {"torch", "transformers", "pytorch_lightning", "mlflow", "pandas", "scipy", "datasets", "onnxruntime", "optuna"}
LOADED = """
import sys
from kd_lab.__main__ import command
try:
    command(["--help"])
finally:
    print(*{name.partition(".")[0] for name in sys.modules})
"""
TIMED = ["evaluation.timed=true", "evaluation.requests=3", "evaluation.rounds=1"]


def tracked(folder, study):
    """A client of the store in the folder, and the study's runs there."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder}/multirun/mlflow.db")
    return client, client.search_runs([client.get_experiment_by_name(study).experiment_id])


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, empty_store):
    """A sweep of two cells, run once: (folder, exit code, its line)."""
    folder = tmp_path_factory.mktemp("sweep")
    empty_store(folder / "multirun" / "mlflow.db")
    rows = "".join(
        f"the {word} {kind} number {n},{kind}\n" for n in range(40) for kind, word in (("a", "red"), ("b", "old"))
    )
    (folder / "toy.csv").write_text("text,label\n" + rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KD_LAB_CACHE", str(folder / "cache"))
        sweep = ["-m", *QUICK, "tracking=mlflow", "name=study", "compression=[],[prune_l1]"]
        return folder, command(sweep), sweep


@pytest.fixture
def again(sweep, monkeypatch):
    """Where the sweep ran, and its line, in a process that cannot train."""
    folder, _, line = sweep
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KD_LAB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(Distillation, "training_step", None)
    return folder, line


def test_a_sweep_leaves_a_finished_result_for_each_cell(sweep):
    folder, code, _ = sweep
    cells = results.collect(folder / "multirun" / "study")
    assert code == 0
    assert [cell.status for cell in cells] == ["finished", "finished"]
    for cell in cells:
        assert 0 <= cell.metrics["test"]["accuracy"] <= 1
        low, high = cell.metrics["test"]["accuracy_interval"]
        assert low <= cell.metrics["test"]["accuracy"] <= high
        assert {"tokens", "teacher", "fit", "compressed", "result"} <= set(cell.fingerprint)
        assert cell.history[0]["train/kl"] >= 0
        assert cell.versions["torch"]
        assert cell.machine["precision"]


def test_one_teacher_and_one_student_serve_the_whole_sweep(sweep):
    folder, _, _ = sweep
    assert len(list((folder / "cache" / "fit").glob("*/manifest.json"))) == 2


def test_the_same_line_again_trains_and_logs_nothing_and_says_what_was_saved(again, capsys):
    """One epoch for both cells: train and validation to learn from, validation and test to be judged by."""
    folder, line = again

    def logged():
        client, runs = tracked(folder, "study")
        points = [client.get_metric_history(run.info.run_id, name) for run in runs for name in run.data.metrics]
        return sorted(run.info.run_id for run in runs), sum(map(len, points)), {run.info.status for run in runs}

    before, runs = {path: path.read_bytes() for path in folder.glob("multirun/study/*/result.json")}, logged()
    assert command(line) == 0
    assert {path: path.read_bytes() for path in before} == before
    assert logged() == runs
    assert runs[2] == {"FINISHED"}
    printed = capsys.readouterr()
    said = " ".join(printed.err.split())
    assert "2 of 2 cells have finished before" in said
    assert "teacher: 1 fit and 4 passes over a split serve 2 cells; 4 of 8 passes saved" in said
    assert command(["report", "study"]) == 0
    shown = capsys.readouterr().out
    assert "prune_l1" in shown
    rows, before = ([row for row in table.splitlines() if "%" in row] for table in (shown, printed.out))
    assert rows == before


def test_each_cell_keeps_picture_table_model_and_a_result_of_plain_json(sweep):
    def refuse(name):
        raise AssertionError(name)

    cells = [path.parent for path in sweep[0].glob("multirun/study/*/result.json")]
    assert len(cells) == 2
    for cell in cells:
        assert {"confusion.png", "table.md", "model"} <= {path.name for path in cell.iterdir()}
        kept = {path.name for path in (cell / "model").iterdir()}
        assert {"classifier.json", "tokenizer.json", "model.safetensors"} <= kept
        json.loads((cell / "result.json").read_text(), parse_constant=refuse)


def test_the_sweep_stands_in_mlflow_with_its_figures(sweep):
    client, runs = tracked(sweep[0], "study")
    cells = {cell.cell: cell for cell in results.collect(sweep[0] / "multirun" / "study")}
    [parent] = [run for run in runs if "kd_lab.parent" in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert {run.data.tags["kd_lab.cell"] for run in children} == set(cells)
    assert {run.info.run_name for run in children} == {"compression=[]", "compression=[prune_l1]"}
    for run in children:
        cell = cells[run.data.tags["kd_lab.cell"]]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.metrics["test/accuracy"] == pytest.approx(cell.metrics["test"]["accuracy"])
        assert run.data.metrics["epoch/train/kl"] >= 0
        kept = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"result.json", "confusion.png", "calibration.png", "table.md"} <= kept
    assert parent.data.metrics["cells/finished"] == 2
    assert {"table.csv", "table.md", "pareto.png"} <= {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert "kd_lab.verdict" in parent.data.tags


def test_a_cell_composed_anew_is_found_finished_where_its_stamp_is_gone(again):
    folder, line = again
    stamps = list(folder.glob("multirun/study/.stamps/*.json"))
    assert len(stamps) == 2
    for stamp in stamps:
        stamp.unlink()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("multirun/study/*/result.json")}
    assert command(line) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(folder.glob("multirun/study/.stamps/*.json"))) == 2


def test_any_error_in_a_cell_is_recorded_with_its_traceback_and_the_others_go_on(toy_csv, workplace, monkeypatch):
    """As when the memory of a GPU runs out: no error of ours."""
    step = Distillation.training_step

    def out_of_memory(self, batch, index):
        if getattr(self.loss, "temperature", None) == 3:  # the teacher's loss has none
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return step(self, batch, index)

    monkeypatch.setattr(Distillation, "training_step", out_of_memory)
    assert command(["-m", *QUICK, "name=study", "loss.temperature=3,2"]) == 1
    cells = {cell.status: cell for cell in results.collect(workplace / "multirun" / "study")}
    assert set(cells) == {"failed", "finished"}
    assert cells["failed"].error.startswith("RuntimeError: CUDA out of memory")
    trace = (workplace / "multirun" / "study" / cells["failed"].cell / "error.txt").read_text()
    assert "Traceback" in trace
    assert command(["report", "study"]) == 1
    assert "CUDA out of memory" in (workplace / "multirun" / "study" / "report" / "table.md").read_text()


def test_sync_brings_mlflow_level_exactly_once(toy_csv, workplace, empty_store):
    assert command([*QUICK, "name=late"]) == 0
    assert not (workplace / "multirun" / "mlflow.db").exists()
    empty_store(workplace / "multirun" / "mlflow.db")
    for _ in range(2):
        assert command(["report", "late", "--sync"]) == 0
    _, [run] = tracked(workplace, "late")
    [cell] = results.collect(workplace / "multirun" / "late")
    assert run.data.metrics["test/accuracy"] == pytest.approx(cell.metrics["test"]["accuracy"])


def test_a_cell_that_fails_is_recorded_and_the_others_go_on(toy_csv, workplace):
    sweep = ["-m", *QUICK, "name=study", "dataset.label_column=label,nowhere"]
    assert command(sweep) == 1
    cells = {cell.status: cell for cell in results.collect(workplace / "multirun" / "study")}
    assert set(cells) == {"failed", "finished"}
    assert "nowhere" in cells["failed"].error


def write(text, encoding="utf-8", option="dataset.path"):
    def make(folder):
        (folder / "bad.csv").write_text(text, encoding=encoding)
        return [f"{option}=bad.csv"]

    return make


GOOD = "text,label\n" + "".join(f"red words {n},a\nold words {n},b\n" for n in range(20))
MISTAKES = {
    "missing file": (lambda _: ["dataset.path=nowhere.csv"], "nowhere.csv"),
    "missing column": (write(GOOD.replace("label", "topic")), "dataset.label_column"),
    "empty file": (write(""), "empty file"),
    "header only": (write("text,label\n"), "rows below the header"),
    "empty text": (write(GOOD + " ,a\n"), "row 41"),
    "numbers for text": (write("text,label\n" + "1,a\n2,b\n" * 9), "numbers only"),
    "one class": (write("text,label\n" + "some words,a\n" * 20), "at least two classes"),
    "NaN label": (write(GOOD + "more words,nan\n"), "column 'label', row 41"),
    "a label that train lacks": (write("text,label\nnew words,zebra\n", option="dataset.test_path"), "'zebra'"),
    "wrong encoding": (write(GOOD + "caf\xe9,a\n", encoding="latin-1"), "dataset.encoding"),
    "unknown override": (lambda _: ["dataset.tpyo=1"], "dataset.tpyo"),
    "unknown option": (lambda _: ["model=gpt"], "distilbert_mini"),
    "temperature 0": (lambda _: ["loss.temperature=0"], "loss.temperature"),
    "alpha above 1": (lambda _: ["loss.alpha=1.5"], "loss.alpha"),
    "model directory that is none": (
        lambda folder: ["model@teacher.model=minilm", f"teacher.model.checkpoint.path={folder}"],
        "config.json",
    ),
    "no teacher for a loss that needs one": (lambda _: ["teacher=none"], "Choose a teacher"),
    "a target that is not ours": (lambda _: ["model._target_=os.system"], "os.system"),
    "a step that is out of order": (lambda _: ["compression=[onnx_int8,prune_l1]"], "prune_l1"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gives_one_line_and_exit_code_2_and_leaves_nothing(name, workplace, capsys):
    make, told = MISTAKES[name]
    (workplace / "toy.csv").write_text(GOOD)
    mine = make(workplace)
    other = any(item.startswith(("teacher=", "model@teacher")) for item in mine)
    quick = [item for item in QUICK if not (other and "teacher" in item)]
    assert command([*quick, *mine]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("kd-lab: ")
    assert told in lines[-1]
    assert not [line for line in lines if "Traceback" in line or "Error executing" in line]
    assert not list(workplace.glob("multirun/*/*/result.json"))
    assert not list(workplace.glob("multirun/*/*/.hydra"))


def test_damage_in_the_cache_is_mended_and_warned_of_and_the_row_is_the_same(toy_csv, workplace, capsys):
    """As it was: the run ended, and so did a night's sweep, with the advice to delete a folder by hand."""
    from kd_lab.core import cache

    assert command([*QUICK, "name=whole"]) == 0
    [before] = results.collect(workplace / "multirun" / "whole")
    kinds = {path.parent.parent.name: path for path in sorted(workplace.glob("own_cache/*/*/manifest.json"))}
    assert {"fit", "outputs", "tokens"} <= set(kinds)
    for manifest in workplace.glob("own_cache/*/*/manifest.json"):
        file = max(
            (path for path in manifest.parent.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
        )
        file.write_bytes(file.read_bytes()[:-7])
    cache._checked.clear()
    capsys.readouterr()
    assert command([*QUICK, "name=mended"]) == 0
    assert "train.pieces.npy: expected the " in " ".join(capsys.readouterr().err.split())
    [after] = results.collect(workplace / "multirun" / "mended")
    assert after.metrics == before.metrics
    assert after.fidelity == before.fidelity
    mended = [text for text in after.warnings if "made anew" in text]
    damaged = [path.name for path in workplace.glob("own_cache/*/.*.damaged-1")]
    assert len(mended) == len(damaged) >= len(kinds)
    assert before.warnings == [text for text in after.warnings if text not in mended]


def test_a_full_disk_gives_one_line_and_nothing_half_written(toy_csv, workplace, capsys, monkeypatch):
    import errno

    from kd_lab.data import tokenized

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tokenized.np, "save", full)
    assert command(QUICK) == 2
    assert "No space left" in capsys.readouterr().err
    assert not [path for path in workplace.glob("**/tokens/*") if path.is_dir()]


def test_a_teacher_at_the_majority_rate_is_warned_of_in_the_result(toy_csv, workplace):
    still = ["teacher.optimizer.encoder_lr=0", "teacher.optimizer.head_lr=0"]
    assert command([*QUICK, *still]) == 0
    [cell] = results.collect(workplace / "multirun" / "runs")
    assert any("the teacher is at the majority-class rate" in warning for warning in cell.warnings)


def test_a_student_at_the_majority_rate_is_warned_of_and_none_of_such_is_best(toy_csv, workplace, capsys):
    still = ["optimizer.encoder_lr=0", "optimizer.head_lr=0", "teacher=none", "loss=cross_entropy", "name=still"]
    alone = [one for one in QUICK if "teacher" not in one]
    assert command(["-m", *alone, *still, "model.dropout=0.1,0.2"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "no best: both settings are at the majority-class rate on validation (33.3 %)" in printed
    for cell in results.collect(workplace / "multirun" / "still"):
        assert any("the student is at the majority-class rate on validation" in text for text in cell.warnings)


def test_uneven_classes_are_told_with_the_options_for_them(toy_csv, workplace, capsys):
    lines = toy_csv.read_text().splitlines()
    toy_csv.write_text("\n".join([*lines[:61], *lines[61:121], *lines[121:181:4]]))
    assert command(QUICK) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("trainer.monitor=f1_macro, loss.class_weights=balanced and trainer.sampling=balanced") == 1
    options = ["trainer.monitor=f1_macro", "loss.class_weights=balanced", "trainer.sampling=balanced", "name=even"]
    assert command([*QUICK, *options]) == 0
    told = capsys.readouterr()
    assert "classes are uneven" not in told.err
    assert "balanced accuracy" in " ".join(told.out.split())


def test_without_an_evaluation_no_process_is_timed_and_a_later_one_fits_nothing_anew(
    toy_csv, workplace, capsys, monkeypatch
):
    def untimed(*_, **__):
        raise AssertionError("a process was started to be timed")

    with monkeypatch.context() as patch:
        patch.setattr(latency, "in_fresh_process", untimed)
        assert command([*QUICK, "compression=[prune_l1]"]) == 0
    printed = capsys.readouterr().out
    [cell] = results.collect(workplace / "multirun" / "runs")
    assert set(cell.cost) == set(cell.teacher["cost"]) == {"parameters", "parameters_nonzero", "size_mib"}
    assert cell.cost["parameters_nonzero"] < cell.cost["parameters"] < cell.teacher["cost"]["parameters"]
    assert "speed-up" in printed
    monkeypatch.setattr(Distillation, "training_step", None)
    assert command([*QUICK, *TIMED, "compression=[prune_l1]"]) == 0
    timed = {cell.fingerprint["result"]: cell for cell in results.collect(workplace / "multirun" / "runs")}
    [cost] = [one.cost for one in timed.values() if "latency_ms" in one.cost]
    assert cost["latency_ms"]["p50"] > 0
    assert cost["speedup"] > 0


def test_a_loss_that_is_not_finite_is_recorded_and_ends_in_exit_code_1(toy_csv, workplace):
    wild = ["optimizer.head_lr=1e30", "optimizer.warmup=0", "trainer.clip_norm=0", "trainer.max_epochs=9"]
    assert command([*QUICK, *wild]) == 1
    [cell] = results.collect(workplace / "multirun" / "runs")
    assert cell.status == "failed"
    assert "not finite at step" in cell.error


def test_help_loads_no_large_library_and_lists_every_group():
    """So that it takes less than a second, which experiments/speed measures."""
    from kd_lab.core.paths import root

    shown, loaded = (
        subprocess.run(line, capture_output=True, text=True, check=True).stdout
        for line in ([sys.executable, "-m", "kd_lab", "--help"], [sys.executable, "-c", LOADED])
    )
    assert not LARGE & set(loaded.splitlines()[-1].split())
    for path in (root() / "conf").glob("**/*.yaml"):
        group = path.parent.relative_to(root() / "conf").as_posix()
        if group != ".":
            [line] = [line for line in shown.splitlines() if line.split()[:1] == [group]]
            assert path.stem in line
    assert "demo" in shown


def test_a_study_that_is_not_there_is_told(capsys):
    assert command(["report", "nothing"]) == 2
    assert "nothing" in capsys.readouterr().err


def test_the_cache_is_listed_and_freed(toy_csv, workplace, monkeypatch, capsys):
    monkeypatch.setenv("KD_LAB_CACHE", str(workplace / "kept"))
    assert command(QUICK) == 0
    cut_off = workplace / "kept" / "fit" / ".0123456789abcdef.unfinished"
    cut_off.mkdir()
    (cut_off / "last.ckpt").write_bytes(b"what a kill left")
    capsys.readouterr()
    assert command(["cache"]) == 0
    out = capsys.readouterr().out
    assert "tokens" in out
    assert "cut off" in out
    gc.collect()  # the run's cell, whose artifacts are in use
    assert command(["cache", "gc", "--days", "0"]) == 0
    assert not list((workplace / "kept").glob("*/*/manifest.json"))
    assert not cut_off.exists()
