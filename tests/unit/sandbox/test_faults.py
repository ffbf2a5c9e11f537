from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from manifestgen.sandbox.faults import ModuleFault, device_online, module_fault, set_device_online, set_module_fault
from manifestgen.sandbox.world import Store, World

IMAGE = "sandboxmodels.azurecr.io/scorer:1"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    store = Store()
    yield World(store, tmp_path)
    store.close()


def test_a_module_without_a_fault_does_not_fail(here: World) -> None:
    assert module_fault(here, "edge-01", "scorer", IMAGE) is None


def test_an_image_that_was_built_without_its_script_ends_at_once_on_every_device(here: World) -> None:
    here.store.put("start-failure", IMAGE, {"exit_code": 3, "message": "no score.py"})
    assert module_fault(here, "edge-01", "scorer", IMAGE) == ModuleFault("exit", "no score.py", 3, IMAGE)
    assert module_fault(here, "edge-01", "scorer", "sandboxmodels.azurecr.io/scorer:2") is None


def test_a_fault_that_was_asked_for_comes_before_what_the_image_does(here: World) -> None:
    here.store.put("start-failure", IMAGE, {"exit_code": 3, "message": "no score.py"})
    asked = ModuleFault("pull", "unauthorized: authentication required")
    set_module_fault(here, "edge-01", "scorer", asked)
    assert module_fault(here, "edge-01", "scorer", IMAGE) == asked


def test_a_fault_of_one_image_leaves_the_next_image_alone(here: World) -> None:
    set_module_fault(here, "edge-01", "scorer", ModuleFault("exit", image=IMAGE))
    assert module_fault(here, "edge-01", "scorer", IMAGE) is not None
    assert module_fault(here, "edge-01", "scorer", "sandboxmodels.azurecr.io/scorer:2") is None


def test_a_share_of_all_devices_fails_and_always_the_same_ones(here: World) -> None:
    set_module_fault(here, "*", "scorer", ModuleFault("exit", share=0.05))
    devices = [f"truck-{number:05}" for number in range(2_000)]
    failing = [device for device in devices if module_fault(here, device, "scorer", IMAGE) is not None]
    assert 70 < len(failing) < 130
    assert failing == [device for device in devices if module_fault(here, device, "scorer", IMAGE) is not None]
    assert all(module_fault(here, device, "other", IMAGE) is None for device in failing)
    set_module_fault(here, "*", "scorer", None)
    assert module_fault(here, failing[0], "scorer", IMAGE) is None


def test_what_is_said_of_a_device_comes_before_what_is_said_of_all(here: World) -> None:
    set_module_fault(here, "*", "scorer", ModuleFault("exit"))
    set_module_fault(here, "edge-01", "scorer", ModuleFault("pull"))
    found = [module_fault(here, device, "scorer", IMAGE) for device in ("edge-01", "edge-02")]
    assert [fault.kind for fault in found if fault is not None] == ["pull", "exit"]
    set_device_online(here, "*", False)
    set_device_online(here, "edge-02", True)
    assert [device_online(here, device) for device in ("edge-02", "edge-03")] == [True, False]
