"""Takes the counters of network interfaces and InfiniBand ports, gives how much goes through each."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_dash_mole.rates import Rates
from cluster_dash_mole.reading import KeptFile, Metric, Reading, Sample, read_optional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RECEIVED = Metric("sys.net.recv_bytes_per_s", "B/s", "received over the interface")
SENT = Metric("sys.net.sent_bytes_per_s", "B/s", "sent over the interface")
ERRORS = Metric("sys.net.errors_per_s", "1/s", "packets that arrived broken or could not be sent")
DROPS = Metric("sys.net.drops_per_s", "1/s", "packets that the host dropped, for want of room or of a taker")
IB_RECEIVED = Metric("sys.infiniband.recv_bytes_per_s", "B/s", "received by the port, RDMA included")
IB_SENT = Metric("sys.infiniband.sent_bytes_per_s", "B/s", "sent by the port, RDMA included")

# For hosts whose sysfs names no physical interface, such as containers.
_VIRTUAL = re.compile(
    r"lo$|(veth|docker|br-|cali|virbr|vnet|tap|tun|cni|flannel|lxc|lxd|cilium|kube|dummy|ifb|sit|gre|erspan|ip6|podman"
    r"|nerdctl|vxlan|geneve|ovs|wg|zt|tailscale|nodelocal|bonding_masters)"
)
_MOST_INTERFACES = 64
_IB_WORD_BYTES = 4  # what port_rcv_data and port_xmit_data count
_IB_FULL = 2**32 - 1  # where the counters of old adapters stop


def parse_net_dev(text: str) -> dict[str, tuple[int, ...]]:
    """/proc/net/dev by interface: bytes in and out, errors and drops of both. The name may touch the first number."""
    counters: dict[str, tuple[int, ...]] = {}
    for line in text.split("\n"):
        name, separator, rest = line.partition(":")
        try:
            received, _, broken, dropped, _, _, _, _, sent, _, unsent, discarded = map(int, rest.split()[:12])
        except ValueError:
            continue
        if separator:
            counters[name.strip()] = (received, sent, broken + unsent, dropped + discarded)
    return counters


def select_interfaces(names: Iterable[str], net: Path) -> list[str]:
    """Those with a device behind them in <sys>/class/net; where none has one, those without a virtual one's name."""
    known = sorted(names)
    physical = [name for name in known if Path(net, name, "device").exists()]
    return (physical or [name for name in known if not _VIRTUAL.match(name)])[:_MOST_INTERFACES]


def read_infiniband(infiniband: Path) -> dict[str, tuple[int, int]]:
    """<sys>/class/infiniband by "mlx5_0/1": words in and out. A counter that is full or missing has none."""
    counters: dict[str, tuple[int, int]] = {}
    if not infiniband.is_dir():
        return counters
    for port in sorted(infiniband.glob("*/ports/*")):
        texts = [read_optional(f"{port}/counters/port_{way}_data").strip() for way in ("rcv", "xmit")]
        words = [int(text) for text in texts if text.isdigit() and int(text) != _IB_FULL]
        if len(words) == 2:
            counters[f"{port.parts[-3]}/{port.name}"] = (words[0], words[1])
    return counters


class NetworkCollector:
    """Each interface and port since its own previous reading."""

    name = "network"

    def __init__(
        self, proc: Path = Path("/proc"), sys: Path = Path("/sys"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._net_dev = KeptFile(proc / "net/dev")
        self._sys = sys
        self._known: set[str] = set()
        self._interfaces: list[str] = []
        self._rates = Rates(clock)
        self._ib_rates = Rates(clock)

    def prime(self) -> None:
        """Make the first reading, so that the first post has the rates."""
        self.collect()

    def collect(self) -> Reading:
        """Samples only."""
        counters = parse_net_dev(self._net_dev.read_optional())
        if counters.keys() != self._known:
            self._known = set(counters)
            self._interfaces = select_interfaces(counters, self._sys / "class/net")
        reading = Reading()
        rates = self._rates.update({name: counters[name] for name in self._interfaces})
        for name, values in rates.items():
            for metric, value in zip((RECEIVED, SENT, ERRORS, DROPS), values):
                reading.samples.append(Sample(metric, value, tags={"iface": name}))
        for port, words in self._ib_rates.update(read_infiniband(self._sys / "class/infiniband")).items():
            for metric, rate in zip((IB_RECEIVED, IB_SENT), words):
                reading.samples.append(Sample(metric, rate * _IB_WORD_BYTES, tags={"port": port}))
        return reading

    def close(self) -> None:
        """Nothing is held."""
