"""What goes over the network."""

from __future__ import annotations

from pathlib import Path

from cluster_dash_mole.network import NetworkCollector, parse_net_dev, read_infiniband, select_interfaces
from mole.peers import ManualClock

HEAD = """\
Inter-|   Receive                                                |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
"""


def line(name: str, received: int = 0, sent: int = 0, errors: int = 0, drops: int = 0) -> str:
    return f"{name:>6}:{received} 9 {errors} {drops} 0 0 0 0 {sent} 9 {errors} {drops} 0 0 0 0\n"


class Host:
    """A host whose /proc and /sys a test writes; rounds are 2 s apart."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.sys = folder / "proc", folder / "sys"
        Path(self.proc, "net").mkdir(parents=True)
        self.clock = ManualClock()
        self.collector = NetworkCollector(self.proc, self.sys, self.clock)

    def add_device(self, name: str) -> None:
        Path(self.sys, "class/net", name, "device").mkdir(parents=True)

    def set_port(self, device: str, received: str, sent: str) -> None:
        counters = Path(self.sys, "class/infiniband", device, "ports/1/counters")
        counters.mkdir(parents=True, exist_ok=True)
        Path(counters, "port_rcv_data").write_text(received)
        Path(counters, "port_xmit_data").write_text(sent)

    def collect(self, *lines: str) -> dict[str, float | None]:
        Path(self.proc, "net/dev").write_text(HEAD + "".join(lines))
        samples = self.collector.collect().samples
        self.clock.now += 2
        return {
            f"{sample.metric.name[4:]} {next(iter((sample.tags or {}).values()))}": sample.value for sample in samples
        }


def test_a_name_may_touch_its_first_number_and_lines_without_numbers_are_left_out() -> None:
    text = HEAD + line("enp0s31f6", 4, 5, 1, 2) + "  eth1: 1 2 3\n  eth2: a b c d e f g h i j k l m n o p\nnonsense\n"
    assert parse_net_dev(text) == {"enp0s31f6": (4, 5, 2, 4)}


def test_only_interfaces_with_a_device_count(tmp_path: Path) -> None:
    host = Host(tmp_path)
    for name in ("eno1", "ib0"):
        host.add_device(name)
    names = ["lo", "eno1", "ib0", "bond0", "docker0", "veth12ab", "br-55", "oddname"]
    assert select_interfaces(names, host.sys / "class/net") == ["eno1", "ib0"]


def test_in_a_container_all_but_the_virtual_names_count(tmp_path: Path) -> None:
    virtual = "lo veth1 docker0 br-1 cali12 virbr0 vnet3 tun0 cni0 flannel.1 lxcbr0 ifb0 wg0 kube-ipvs0 dummy0"
    assert select_interfaces([*virtual.split(), "eth0", "lonely"], tmp_path) == ["eth0", "lonely"]


def test_rates_are_per_second_and_errors_of_both_directions_are_one_number(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.add_device("eth0")
    assert host.collect(line("eth0", 1000, 50), line("lo", 1, 1)) == {}
    assert host.collect(line("eth0", 3000, 50, 1, 4), line("lo", 9, 9)) == {
        "net.recv_bytes_per_s eth0": 1000,
        "net.sent_bytes_per_s eth0": 0,
        "net.errors_per_s eth0": 1,
        "net.drops_per_s eth0": 4,
    }


def test_an_interface_that_was_made_anew_gives_nothing_until_its_second_reading(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.add_device("eth0")
    host.collect(line("eth0", 1000, 1000))
    assert host.collect(line("eth0", 5000, 10)) == {}
    assert host.collect() == {}
    assert host.collect(line("eth0", 9000, 9000)) == {}
    assert host.collect(line("eth0", 9002, 9004))["net.recv_bytes_per_s eth0"] == 1


def test_an_interface_that_comes_later_is_found(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.add_device("eth0")
    host.collect(line("eth0"))
    host.add_device("eth1")
    host.collect(line("eth0"), line("eth1"))
    assert host.collect(line("eth0"), line("eth1", 2))["net.recv_bytes_per_s eth1"] == 1


def test_an_infiniband_port_counts_in_words_of_4_bytes(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.set_port("mlx5_0", "100\n", "7\n")
    host.collect()
    host.set_port("mlx5_0", "600\n", "7\n")
    assert host.collect() == {"infiniband.recv_bytes_per_s mlx5_0/1": 1000, "infiniband.sent_bytes_per_s mlx5_0/1": 0}


def test_a_counter_of_an_old_adapter_that_is_full_is_no_rate_of_0(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.set_port("mlx4_0", f"{2**32 - 1}\n", "7\n")
    host.set_port("mlx4_1", "N/A (no PMA)\n", "7\n")
    assert read_infiniband(host.sys / "class/infiniband") == {}


def test_a_host_that_shows_nothing_has_no_rates(tmp_path: Path) -> None:
    assert NetworkCollector(tmp_path / "no", tmp_path / "no").collect().samples == []
