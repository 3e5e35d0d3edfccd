"""Takes a line on stdin, gives a line of JSON on stdout: what NVML says of every GPU. A process of its own.

A hung driver makes its callers unkillable and a bad handle can crash the interpreter, so NVML lives here, where the
mole can lose it. Few imports: this process exists on every GPU host and its memory counts. It keeps NVML open between
the questions, because opening takes up to seconds and wakes a sleeping driver, and samples meanwhile what one look
would miss. It ends when stdin ends, so it never outlives its mole.

A question is "all" (read also what rarely changes) or an empty line. An answer is {"gpus": [...], "events": [...],
"failed": whether no GPU answers}, or {"error": {"code": NVML's number or null, "text": ...}} and then this process
ends: the next one loads the library afresh, as it may be another by then.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import time

from cluster_dash_mole.nvml_events import Events
from cluster_dash_mole.nvml_functions import Functions
from cluster_dash_mole.nvml_gpu import Gpu

TYPE_CHECKING = False  # `typing` itself would cost this process memory
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ENCODE = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_REST = 9  # times what a sample took: sampling has at most a tenth of the time, however slow the driver


class Reader:
    """NVML, opened once, and its GPUs by index."""

    def __init__(self, activity: bool) -> None:
        self._nvml: Any = importlib.import_module("pynvml")
        if not hasattr(self._nvml, "_nvmlGetFunctionPointer"):
            raise ImportError("another package shadows the module pynvml: install nvidia-ml-py, remove pynvml")
        self._nvml.nvmlInit()
        self._functions = Functions(self._nvml, activity)
        self._gpus: dict[int, Gpu] = {}
        self._events = Events(self._functions)
        self._texts = {"driver_version": self._read_driver_version(), "cuda_version": self._read_cuda_version()}

    def read(self, thorough: bool, has_fresh_sample: bool) -> dict[str, Any]:
        """An answer: all GPUs."""
        gpus = [self._read_gpu(index, thorough, has_fresh_sample) for index in range(self._nvml.nvmlDeviceGetCount())]
        if thorough:
            self._events.listen(self._gpus.values())
        self._events.look()
        failed = bool(gpus) and not any("numbers" in gpu for gpu in gpus)
        return {"gpus": gpus, "events": self._events.take(), "failed": failed}

    def _read_gpu(self, index: int, thorough: bool, has_fresh_sample: bool) -> dict[str, Any]:
        gpu = self._gpus.get(index)
        if gpu is None or gpu.is_lost or gpu.handle is None:
            gpu = self._begin(index)
        before = gpu.uuid
        found = gpu.find()
        if found and before not in (None, gpu.uuid):  # the indices have shifted
            gpu = self._begin(index)
            found = gpu.find()
        return {**gpu.read(thorough, has_fresh_sample), **self._texts} if found else gpu.describe()

    def _begin(self, index: int) -> Gpu:
        former = self._gpus.get(index)
        if former:
            former.close()
        self._gpus[index] = Gpu(self._functions, index)
        return self._gpus[index]

    def sample(self) -> None:
        """Look at every GPU that isn't lost, and for events."""
        for gpu in self._gpus.values():
            if gpu.handle is not None:  # a call without a handle crashes inside the library
                gpu.samples.sample()
        self._events.look()

    def _read_driver_version(self) -> str | None:
        try:
            return self._nvml.nvmlSystemGetDriverVersion()
        except self._nvml.NVMLError:
            return None

    def _read_cuda_version(self) -> str | None:
        try:
            version = self._nvml.nvmlSystemGetCudaDriverVersion_v2()
        except self._nvml.NVMLError:
            return None
        return f"{version // 1000}.{version % 1000 // 10}"

    def close(self) -> None:
        """Tell the driver that nobody asks any more."""
        for gpu in self._gpus.values():
            gpu.close()
        self._nvml.nvmlShutdown()


class Server:
    """One answer a question, until they end or an answer is a failure; samples in between."""

    def __init__(
        self,
        questions: int,
        answers: int,
        sample_s: float,
        activity: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._questions = questions
        self._answers = answers
        self._sample_s = sample_s
        self._activity = activity
        self._clock = clock
        self._reader: Reader | None = None
        self._sampled_at = 0.0
        self._sample_at = 0.0
        self._received = b""

    def serve(self) -> None:
        """Until the end."""
        while self.step():
            pass
        if self._reader:
            self._reader.close()

    def step(self) -> bool:
        """Wait for a question or the time of a sample, and do what is due; whether to go on."""
        wait_s = max(0.0, self._sample_at - self._clock()) if self._reader else None
        if not select.select([self._questions], [], [], wait_s)[0]:
            self._sample()
            return True
        received = os.read(self._questions, 4096)
        *lines, self._received = (self._received + received).split(b"\n")
        return received != b"" and all(self._answer(line == b"all") for line in lines)

    def _sample(self) -> None:
        started = self._clock()
        if self._reader:
            self._reader.sample()
        now = self._sampled_at = self._clock()
        on_time = self._sample_at + self._sample_s
        self._sample_at = max(on_time if on_time > now else now + self._sample_s, now + _REST * (now - started))

    def _note_sample(self) -> None:
        """An answer has taken the sample itself. The next ones follow it, a little late: so that of those before the
        next question the last doesn't come just before it, to no use but that this process wakes once more.
        """
        now = self._sampled_at = self._clock()
        self._sample_at = max(self._sample_at, now + 1.05 * self._sample_s)

    def _answer(self, thorough: bool) -> bool:
        answer, is_good = self._read(thorough)
        line = memoryview(_ENCODE(answer).encode() + b"\n")
        while line:
            line = line[os.write(self._answers, line) :]
        return is_good

    def _read(self, thorough: bool) -> tuple[dict[str, Any], bool]:
        try:
            if self._reader is None:
                self._reader = Reader(self._activity)
                self._sample_at = self._clock() + self._sample_s
            has_fresh_sample = self._clock() - self._sampled_at < self._sample_s / 4
            answer = self._reader.read(thorough, has_fresh_sample)
            if not has_fresh_sample:
                self._note_sample()
            return answer, True
        except Exception as error:  # noqa: BLE001  whatever it is, the mole must hear of it
            code = getattr(error, "value", None)
            text = str(error) if code is not None else f"{type(error).__name__}: {error}"
            self._reader = None
            return {"error": {"code": code, "text": text}}, False


def main() -> None:
    """Answer until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the mole ends this process
    # The answers get a descriptor of their own, so that nothing the library prints gets between them.
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        Server(0, answers, float(sys.argv[1]), sys.argv[2] == "activity").serve()
    except BrokenPipeError:
        return  # the mole has gone meanwhile
