"""The one LightningModule: a classifier learns from labels, from a teacher, or from both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import pytorch_lightning as pl
import torch
from torch import Tensor

from kd_lab.core.errors import Diverged
from kd_lab.core.types import Batch, Outputs
from kd_lab.evaluation.metrics import evaluate
from kd_lab.losses.loss import Loss
from kd_lab.models.base import TorchClassifier
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.training.active_embedding import ActiveEmbedding
from kd_lab.training.cuda_graphs import GraphReplay
from kd_lab.training.optimizer import AdamW, clip
from kd_lab.training.perturbed_pass import PerturbedPass
from kd_lab.training.weight_constraint import WeightConstraint

TeacherOutputs = Callable[[Batch], Outputs]  # what a teacher says about a batch, from the cache or live


class _Doubt(NamedTuple):
    """A loss on a GPU that may not be a number; asking at once would have the processor wait for it."""

    step: int
    total: Tensor
    parts: Mapping[str, Tensor]
    finite: Tensor  # on the CPU, right once `known`
    known: torch.cuda.Event


class Distillation(pl.LightningModule):
    """Fits `model` under `loss`; a teacher is a fit without answers of its own.

    Args:
        model: what is fitted; in training mode.
        loss: what is minimised.
        optimizer: how.
        total_steps: number of optimizer steps in the whole fit, for the schedule.
        clip_norm: largest norm of the gradient, 0 for no clipping. Clipped here and not by the Trainer, which refuses
            to clip for a fused optimizer under mixed precision.
        teacher_outputs: split -> the teacher's answers; empty where the loss asks for none.
        constraint: what a step of compression imposes on the weights meanwhile.
    """

    def __init__(
        self,
        model: TorchClassifier,
        loss: Loss,
        optimizer: AdamW,
        total_steps: int,
        clip_norm: float,
        teacher_outputs: Mapping[str, TeacherOutputs],
        constraint: WeightConstraint | None = None,
    ) -> None:
        super().__init__()
        self.model, self.loss, self.constraint = model, loss, constraint
        self.settings, self.total_steps, self.clip_norm = optimizer, total_steps, clip_norm
        self.teacher_outputs = teacher_outputs
        self._total: Tensor | None = None  # the last batch's loss
        self._parts: Mapping[str, Tensor] = {}
        self._sums: Tensor | None = None  # of the loss and its parts over the epoch's rows: their mean is logged
        self._rows = 0
        self._validation_outputs: list[tuple[Tensor, Tensor]] = []  # (logits, labels) of the validation batches so far
        self._doubt: _Doubt | None = None
        self._replay: GraphReplay | None = None
        asks_again = isinstance(loss, Loss) and loss.perturbs  # a user's own may be no `Loss`
        self._perturbed = PerturbedPass(model) if asks_again else None
        model.returns = loss.returns

    def on_fit_start(self) -> None:
        """On a GPU an encoder's passes are recorded."""
        if self._perturbed:
            self.loss.perturb_by(self._perturbed)
        alone = not self._perturbed and self.constraint is None and self.trainer.accumulate_grad_batches == 1
        if alone and self.device.type == "cuda" and isinstance(self.model, EncoderClassifier):
            self._replay = GraphReplay(self.model)

    def on_fit_end(self) -> None:
        """Recordings hold memory, and so does a loss that knows the model."""
        self._replay = None
        if self._perturbed:
            self.loss.perturb_by(None)

    def on_train_epoch_start(self) -> None:
        """The loss may change from epoch to epoch."""
        if isinstance(self.loss, Loss):  # a user's own may be none
            self.loss.at_epoch(self.current_epoch, self.trainer.max_epochs or 1)

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Joins what the teacher has said: with the rows it is moved to the device."""
        teacher = self._outputs_of_split()
        return batch._replace(teacher=teacher(batch)) if teacher and _on_cpu(teacher) else batch

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Joins what the teacher says now, or what it has said and lies on the device like the batch."""
        teacher = self._outputs_of_split()
        return batch._replace(teacher=teacher(batch)) if teacher and not _on_cpu(teacher) else batch

    def _outputs_of_split(self) -> TeacherOutputs | None:
        return self.teacher_outputs.get("train" if self.trainer.training else "validation")

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """One batch's loss."""
        if self.constraint:
            self.constraint.before_forward()
        if self._perturbed:
            self._perturbed.remember()
        total, self._parts = self.loss((self._replay or self.model)(batch), batch)
        self._total = total.detach()
        self._count(total, len(batch.labels))
        share = self._share_of_update(number)
        return cast("Tensor", total if share == 1 else total * share)

    def _share_of_update(self, number: int) -> float:
        """What a batch's loss counts in an update beside the others: more in an epoch's last, where these are fewer.

        Lightning divides by `accumulate_grad_batches` there too.
        """
        several, batches = self.trainer.accumulate_grad_batches, int(self.trainer.num_training_batches)
        left = batches % several
        return several / left if left and number >= batches - left else 1.0

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Logs the epoch's losses once: Lightning's own mean costs more in each step than the losses do."""
        if self.trainer.is_last_batch:
            self._resolve()
            self._log("train")

    def on_before_backward(self, loss: Tensor) -> None:
        """Stops a fit whose loss is no longer a number; on a GPU one step later, or at the end of the epoch.

        Args:
            loss: scaled up in float16, where it may be infinite though the loss itself is not: not looked at.

        Raises:
            Diverged: with the step and the terms to blame.
        """
        assert self._total is not None  # training_step comes first
        loss = self._total
        if loss.device.type != "cuda":
            if not torch.isfinite(loss):
                raise _diverged(self.global_step, loss, self._parts)
            return
        self._resolve()
        finite, known = torch.isfinite(loss).to("cpu", non_blocking=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
        known.record()
        self._doubt = _Doubt(self.global_step, loss, self._parts, finite, known)

    def _resolve(self) -> None:
        if self._doubt is not None:
            self._doubt.known.synchronize()
            if not self._doubt.finite:
                raise _diverged(self._doubt.step, self._doubt.total, self._doubt.parts)
            self._doubt = None

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clips the gradient, in float16 once it is no longer scaled up.

        Lightning leaves the unscaling to a fused optimizer, which does it after this: the norm of what is still scaled
        is some 65,536 times too large. An infinite gradient is found by the unscaling; the scaler then has the
        optimizer change nothing and count no step, and scales less from there on.
        """
        if self.constraint:
            self.constraint.before_update()
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None:
            scaler.unscale_(optimizer)
        if self.clip_norm:
            clip(optimizer, self.clip_norm)

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Updates the weights."""
        super().optimizer_step(*arguments, **options)
        if self.constraint:
            self.constraint.after_update(min(1.0, (self.global_step + 1) / self.total_steps))

    def on_validation_start(self) -> None:
        """Validates the model as it will be used."""
        if self.constraint:
            self.constraint.before_forward()

    def on_validation_end(self) -> None:
        """What a checkpoint keeps is what the optimizer changes."""
        if self.constraint:
            self.constraint.before_update()

    def validation_step(self, batch: Batch, _: int) -> None:
        """One batch's loss and logits."""
        outputs = self.model(batch)
        total, self._parts = self.loss(outputs, batch)
        self._count(total, len(batch.labels))
        self._validation_outputs.append((outputs.logits.detach(), batch.labels))

    def on_validation_epoch_end(self) -> None:
        """Metrics over the whole split at once: a mean of batches' F1 is not F1."""
        logits, labels = (torch.cat(column).cpu() for column in zip(*self._validation_outputs, strict=True))
        self._validation_outputs.clear()
        self._log("validation")
        self.log_dict({f"validation/{name}": value for name, value in evaluate(logits, labels).items()})

    def configure_optimizers(self) -> Any:
        """AdamW and its schedule, which moves with each update."""
        optimizer = self.settings.build(self, [f"model.{prefix}" for prefix in self.model.head] + ["loss."])
        for part in self.model.modules():
            if isinstance(part, ActiveEmbedding):
                part.follow(optimizer)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.settings.factor(step, self.total_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _count(self, total: Tensor, rows: int) -> None:
        self._rows += rows
        share = torch.stack([total.detach(), *self._parts.values()]) * rows
        self._sums = share if self._sums is None else self._sums + share

    def _log(self, split: str) -> None:
        assert self._sums is not None  # an epoch has a batch
        means = dict(zip(("loss", *self._parts), self._sums / self._rows, strict=True))
        self.log_dict({f"{split}/{name}": mean for name, mean in means.items()}, on_step=False, on_epoch=True)
        self._sums, self._rows = None, 0


def _on_cpu(teacher_outputs: TeacherOutputs) -> bool:
    """Whether they are looked up in the processor's memory."""
    device = getattr(teacher_outputs, "device", None)
    return device is not None and device.type == "cpu"


def _diverged(step: int, total: Tensor, parts: Mapping[str, Tensor]) -> Diverged:
    terms = ", ".join(f"{name} = {float(part)}" for name, part in parts.items() if not torch.isfinite(part))
    blame = terms or f"the sum ({float(total)}) of finite terms"
    return Diverged(f"the loss is not finite at step {step}: {blame}. Lower the learning rate.")
