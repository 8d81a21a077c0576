"""GPU readings, from a stand-in for NVIDIA's library: there is no GPU here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from stackbench.models.gpus import GpuReader, GpuReading
from stackbench.models.hardware import cuda_version, device_memory, list_gpus

SMI = """#!/bin/sh
case "$*" in
  *query-gpu*) echo "NVIDIA L4, 23034 MiB, 570.1"; echo "NVIDIA H100 80GB HBM3, 81559 MiB, 570.1" ;;
  *) echo "| NVIDIA-SMI 570.1    Driver Version: 570.1    CUDA Version: 12.8     |" ;;
esac
"""


class Library(ModuleType):
    def __init__(self, count: int) -> None:
        super().__init__("pynvml")
        self.count = count
        self.gone: set[int] = set()

    def nvmlInit(self) -> None:
        if not self.count:
            raise RuntimeError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        if handle in self.gone:
            raise RuntimeError("GPU is lost")
        return SimpleNamespace(used=1000 * (handle + 1), total=8000)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=50)


def test_every_gpu_is_read_and_a_lost_one_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(2)
    monkeypatch.setitem(sys.modules, "pynvml", library)
    reader = GpuReader()
    assert reader.read() == [GpuReading(0, 0.5, 1000, 8000), GpuReading(1, 0.5, 2000, 8000)]
    library.gone.add(0)
    assert [reading.index for reading in reader.read()] == [1]


def test_without_a_driver_or_the_library_there_is_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Library(0))
    assert GpuReader().read() == []
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert GpuReader().read() == []


def test_what_nvidia_smi_tells_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert device_memory()[0] == "no GPU; this machine's memory"
    smi = tmp_path / "nvidia-smi"
    smi.write_text(SMI)
    smi.chmod(0o755)
    assert [gpu["name"] for gpu in list_gpus()] == ["NVIDIA L4", "NVIDIA H100 80GB HBM3"]
    assert cuda_version() == "12.8"
    assert device_memory() == ("NVIDIA H100 80GB HBM3", 81559 << 20)
