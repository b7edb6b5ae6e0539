"""Runs a function in a process that holds the libraries and nothing of this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, TypeVar

from kd_lab.core.errors import FitError
from kd_lab.core.safe_path import SAFE, without_working_folder

_LIBRARIES = (  # imported once, by the server that measuring processes are forked from; importing starts no threads
    "torch.ao.quantization",
    "safetensors.torch",
    "onnx",
    "onnxruntime",
    "transformers.models.bert.modeling_bert",
    "transformers.models.distilbert.modeling_distilbert",
)

Result = TypeVar("Result")


def in_fresh_process(work: Callable[..., Result], *arguments: Any, timeout_s: float) -> Result:
    """What `work(*arguments)` returns in a process that holds the libraries and nothing of this one.

    It is forked from a server that has imported the libraries and run nothing, so that it starts at once and without
    threads: a fork of this process, in which torch has started threads, would hang.

    Args:
        work: a function at the top of a module; arguments and result travel through pipes.
        timeout_s: the process is killed after so many seconds.

    Raises:
        FitError: `work` raised, its process died, or it took too long.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_LIBRARIES))
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, work, arguments), daemon=True)
    with receiver:
        try:
            with sender, _no_main():  # this end is closed, so that the end of the process is the end of the pipe
                process.start()
            if not receiver.poll(timeout_s):
                raise FitError(f"measuring took more than {timeout_s:g} s and was stopped")
            failure, result = receiver.recv()
        except (EOFError, OSError) as error:
            raise FitError(f"the measuring process died with {_last_words(process)}") from error
        finally:
            if process.pid is not None:
                process.kill()
                process.join()
    if failure:
        raise FitError(f"measuring failed: {failure}")
    answer: Result = result
    return answer


def _answer(sender: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        sender.send((None, work(*arguments)))
    except Exception as error:  # told to the process that asked
        sender.send((f"{type(error).__name__}: {error}", None))


def _last_words(process: BaseProcess) -> str:
    if process.pid is None:
        return "the server that was to fork it"
    process.join(10)
    killed = process.exitcode == -signal.SIGKILL
    return f"exit code {process.exitcode}" + (" (killed, most likely for want of memory)" if killed else "")


@contextmanager
def _no_main() -> Iterator[None]:
    """Hides three things that `multiprocessing` would repeat in the process.

    The main module: a user's whole script. The start method: in a worker of joblib it is one that only joblib knows.
    The working folder, from which the server and the process would import a user's queue.py.
    """
    main, method = sys.modules["__main__"], multiprocessing.get_start_method(allow_none=True)
    places, safe = list(sys.path), os.environ.get(SAFE)
    sys.path[:], os.environ[SAFE] = without_working_folder(places), "1"
    sys.modules["__main__"] = ModuleType("__main__")
    multiprocessing.set_start_method("forkserver", force=True)
    try:
        yield
    finally:
        sys.path[:] = places
        os.environ.pop(SAFE) if safe is None else os.environ.update({SAFE: safe})
        sys.modules["__main__"] = main
        multiprocessing.set_start_method(method, force=True)
