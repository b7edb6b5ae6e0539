"""What people use instead: Hugging Face's Trainer with a distillation loss, as they run it and at its best."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from experiments.speed.loss import distillation
from experiments.speed.padded_rows import Row, collate, padded
from kd_lab.core.types import Batch
from kd_lab.data.tokenized import TokenSplit
from kd_lab.evaluation.inference import autocast
from kd_lab.models.base import TorchClassifier
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.fused.cls_only import all_tokens
from kd_lab.training.optimizer import AdamW

LENGTH = 128  # to which people pad
OUTPUT = str(Path(tempfile.gettempdir()) / "kd_lab_speed" / "trainer")  # it wants one, and writes nothing into it


class Student(nn.Module):
    """A classifier of kd_lab as the Trainer calls one; an encoder runs as transformers' own code, all of it."""

    def __init__(self, classifier: TorchClassifier) -> None:
        super().__init__()
        self.classifier = classifier
        if isinstance(classifier, EncoderClassifier):
            all_tokens(classifier.net, classifier.config["model_type"], asked=True)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Logits (B, C); the loss is the Trainer's affair."""
        if isinstance(self.classifier, EncoderClassifier):
            return {"logits": self.classifier.net(input_ids=input_ids, attention_mask=attention_mask).logits}
        return {"logits": self.classifier(Batch(labels, input_ids, attention_mask, labels)).logits}


class Distillation(transformers.Trainer):
    """A Trainer that runs the teacher in every step.

    Args:
        teacher: in evaluation mode.
        loss: (alpha, temperature).
        precision: of the teacher's pass.
        judged_with_teacher: whether the teacher also runs while the student is evaluated, as it does unless somebody
            takes care.
    """

    def __init__(
        self,
        *,
        teacher: TorchClassifier,
        loss: tuple[float, float],
        precision: str,
        judged_with_teacher: bool,
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        device = self.args.device
        self.teacher, self.distillation_loss, self.precision = Student(teacher).eval().to(device), loss, precision
        self.judged_with_teacher = judged_with_teacher
        self.rows = 0  # in the last training step

    def compute_loss(
        self, model: nn.Module, inputs: Row, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The distillation loss of a batch."""
        said = model(**inputs)
        self.rows = len(inputs["labels"])
        if model.training or self.judged_with_teacher:
            with torch.no_grad(), autocast(self.args.device.type, self.precision):
                taught = self.teacher(**inputs)["logits"]
            total = distillation(said["logits"], inputs["labels"], taught, *self.distillation_loss)
        else:
            total = nn.functional.cross_entropy(said["logits"].float(), inputs["labels"])
        return (total, said) if return_outputs else total


class _EachStep(transformers.TrainerCallback):
    """Is told of each step once the weights are updated."""

    def __init__(self, advance: Callable[[], None]) -> None:
        self.advance = advance

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.advance()


def trainer(
    side: str,
    student: TorchClassifier,
    teacher: TorchClassifier,
    train: TokenSplit,
    judged: TokenSplit,
    pad_id: int,
    loss: tuple[float, float],
    *,
    batch_size: int,
    advance: Callable[[int], None] = lambda rows: None,
    recipe: AdamW | None = None,
    epochs: int = 1,
    steps: int = -1,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "bf16-mixed",
) -> Distillation:
    """The Trainer of a side, with the teacher in every step.

    Args:
        side: "a", as people run it: every row padded to 128 word pieces, float32, the Trainer's own AdamW; or "b", at
            its best: batches of like length padded to their longest, bf16, fused AdamW.
        student: trained in place by the `train()` of what is returned.
        judged: rows for `evaluate()`.
        advance: called with the rows of each step.
        recipe: kd_lab's learning rates and schedule in place of the Trainer's.
        steps: at most so many; -1 for whole epochs.
        device: "cpu" or "cuda".
        precision: of student and teacher of "b"; on a machine without bf16, float32 is the best there is.
    """
    best = side == "b"
    rows, held_out = (padded(split, pad_id, None if best else LENGTH) for split in (train, judged))
    options: dict[str, Any] = {
        "per_device_train_batch_size": batch_size,
        "per_device_eval_batch_size": 4 * batch_size,
        "num_train_epochs": epochs,
        "max_steps": steps,
        "seed": seed,
        "use_cpu": device == "cpu",
        "save_strategy": "no",
        "logging_strategy": "no",
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    if best:
        options |= {"bf16": precision == "bf16-mixed", "optim": "adamw_torch_fused"}
        options["train_sampling_strategy"] = "group_by_length"
    if best and device != "cpu":  # batches made beside; to look at each step's loss the processor would wait
        options |= {"dataloader_num_workers": 2, "logging_nan_inf_filter": False}
    model = Student(student.train())
    made = Distillation(
        model=model,
        args=transformers.TrainingArguments(output_dir=OUTPUT, **options),
        train_dataset=rows,
        eval_dataset=held_out,
        data_collator=collate(pad_id),
        optimizers=_optimizer(model, recipe, len(rows), options),
        teacher=teacher,
        loss=loss,
        precision=precision if best else "32-true",
        judged_with_teacher=not best,
    )
    made.add_callback(_EachStep(lambda: advance(made.rows)))
    made.remove_callback(transformers.PrinterCallback)
    return made


def _optimizer(model: Student, recipe: AdamW | None, rows: int, options: dict[str, Any]) -> tuple[Any, Any]:
    """kd_lab's parameter groups and schedule, or nothing: then the Trainer makes its own."""
    if recipe is None:
        return None, None
    optimizer = recipe.build(model, [f"classifier.{prefix}" for prefix in model.classifier.head])
    batches = -(-rows // options["per_device_train_batch_size"])
    updates = options["max_steps"] if options["max_steps"] > 0 else batches * options["num_train_epochs"]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: recipe.factor(step, updates))
    return optimizer, schedule
