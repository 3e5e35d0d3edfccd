"""Takes a GPU, gives mean and maximum of what is sampled between two answers.

NVML's utilisation is of the last second or less, so that one look in five seconds would miss most of it.
"""

from __future__ import annotations

from cluster_dash_mole.nvml_values import NO_VALUE, SAMPLED

TYPE_CHECKING = False  # `typing` itself would cost this process memory
if TYPE_CHECKING:
    from cluster_dash_mole.nvml_gpu import Device


class Samples:
    """By the name of its mean each number's count, sum and maximum since the last answer."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._windows: dict[str, list[float]] = {}

    def sample(self) -> None:
        """Look once. What fails is left out of this sample only; the GPU has the reason among its troubles."""
        windows = self._windows
        for call, pairs in SAMPLED:
            result = self._device.call(call)
            if result is None:
                continue
            for mean, _ in pairs:
                value = getattr(result, mean.pick) if isinstance(mean.pick, str) else result
                if value > mean.most or value == NO_VALUE:
                    continue
                window = windows.get(mean.name)
                if window is None:
                    windows[mean.name] = [1, value, value]
                else:
                    window[0] += 1
                    window[1] += value
                    window[2] = max(window[2], value)

    def take(self, is_fresh: bool) -> dict[str, float]:
        """Means and maxima, and begin anew. With a sample of now, unless there is a fresh one."""
        if not is_fresh or not self._windows:
            self.sample()
        values: dict[str, float] = {}
        for _, pairs in SAMPLED:
            for mean, most in pairs:
                window = self._windows.get(mean.name)
                if window:
                    count, total, highest = window
                    values[mean.name] = round(total / count * mean.scale, 3)
                    values[most.name] = highest * most.scale
        self._windows.clear()
        return values
