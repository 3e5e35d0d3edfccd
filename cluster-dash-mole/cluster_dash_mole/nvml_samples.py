"""Takes a GPU, gives mean and maximum of what is sampled between two answers.

NVML's utilisation is of the last second or less, so that one look in five seconds would miss most of it.
"""

from __future__ import annotations

from cluster_dash_mole.nvml_values import NO_VALUE

TYPE_CHECKING = False  # `typing` itself would cost this process memory
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cluster_dash_mole.nvml_functions import Function
    from cluster_dash_mole.nvml_gpu import Device
    from cluster_dash_mole.nvml_values import Number


_MOST_KEPT = 100


class Samples:
    """What was sampled since the last answer.

    Results are kept as they came and understood together: this process sleeps between two samples, and what it does
    after that costs several times as much.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._table: list[tuple[Sequence[Function], list[Any], list[_Window]]] = [
            (versions, [], [_Window(mean, most) for mean, most in pairs])
            for versions, pairs in device.functions.sampled
        ]

    def sample(self) -> None:
        """Look once. What fails is left out of this sample only; the GPU has the reason among its troubles."""
        ask = self._device.ask
        for versions, results, windows in self._table:
            result = ask(versions)
            if result is not None:
                results.append(result)
                if len(results) >= _MOST_KEPT:
                    _understand(results, windows)

    def take(self, is_fresh: bool, values: list[float | None]) -> None:
        """Put means and maxima at their places, and begin anew. With a sample of now, unless there is a fresh one."""
        if not is_fresh or not any(results for _, results, _ in self._table):
            self.sample()
        for _, results, windows in self._table:
            _understand(results, windows)
            for window in windows:
                window.take(values)


def _understand(results: list[Any], windows: list[_Window]) -> None:
    for window in windows:
        window.add(results)
    results.clear()


class _Window:
    """Count, sum and highest of one number."""

    __slots__ = ("_count", "_highest", "_mean", "_most", "_total")

    def __init__(self, mean: Number, most: Number) -> None:
        self._mean = mean
        self._most = most
        self._count = self._total = self._highest = 0

    def add(self, results: list[Any]) -> None:
        where, most = self._mean.pick, min(self._mean.most, NO_VALUE - 1)
        for result in results:
            value = result[where] if isinstance(where, int) else getattr(result, where)
            if value <= most:
                self._count += 1
                self._total += value
                if value > self._highest:
                    self._highest = value

    def take(self, values: list[float | None]) -> None:
        """Put mean and maximum at their places, where there are any, and begin anew."""
        if self._count:
            values[self._mean.place] = round(self._total / self._count * self._mean.scale, 3)
            values[self._most.place] = self._highest * self._most.scale
        self._count = self._total = self._highest = 0
