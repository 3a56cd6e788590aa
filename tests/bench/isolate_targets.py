"""What the isolated processes of the tests do: succeed, fail in every way, or start something that outlives them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from typing import Any


def succeed(job: Any, emit: Any) -> Any:
    emit({"seen": job})
    print("a line in the log")
    return {"pid": os.getpid(), "job": job}


def fail(job: str, emit: Any) -> None:
    print(f"about to fail: {job}", flush=True)
    {
        "value": _value_error,
        "type": lambda: len(5),  # type: ignore[arg-type]
        "memory": _memory_error,
        "cuda": _cuda_out_of_memory,
        "cublas": _cublas_out_of_memory,
        "numpy": _numpy_out_of_memory,
        "exit": lambda: os._exit(139),
        "system_exit": lambda: sys.exit(0),
        "segfault": lambda: ctypes.string_at(0),
        "sigkill": lambda: os.kill(os.getpid(), 9),
        "hang": lambda: time.sleep(600),
        "unpicklable": lambda: None,
    }[job]()


def return_a_lambda(job: Any, emit: Any) -> Any:
    return lambda: None


def hang_with_helper(job: str, emit: Any) -> None:
    """Start a process that would run on, say its id, and hang."""
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    emit({"pid": os.getpid(), "helper": helper.pid})
    time.sleep(600)


def hold(job: int, emit: Any) -> int:
    """Write so many bytes of memory and keep them: a moment, or, where they are many, until somebody ends this."""
    held = b"x" * job
    time.sleep(1.5 if job < 1e9 else 60)
    return len(held)


def hold_in_a_helper(job: int, emit: Any) -> None:
    """Let another process write so many bytes, say its id, and hang."""
    helper = subprocess.Popen([sys.executable, "-c", f"import time; held = b'x' * {job}; time.sleep(600)"])
    emit({"helper": helper.pid})
    time.sleep(600)


def score_of_being_killed(job: Any, emit: Any) -> int:
    with open("/proc/self/oom_score_adj") as file:
        return int(file.read())


def threads_of_torch(job: int, emit: Any) -> int:
    import torch

    torch.set_num_threads(job)
    torch.nn.functional.conv2d(torch.ones(1, 8, 64, 64), torch.ones(8, 8, 3, 3))
    return torch.get_num_threads()


def _value_error() -> None:
    raise ValueError("the thing is wrong;\n do the other thing")


def _memory_error() -> None:
    raise MemoryError


def _cuda_out_of_memory() -> None:
    raise RuntimeError("CUDA out of memory. Tried to allocate 7.70 GiB")


def _cublas_out_of_memory() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def _numpy_out_of_memory() -> None:
    import numpy

    numpy.ones((2**24, 2**24))
