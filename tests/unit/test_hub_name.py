from __future__ import annotations

from pathlib import Path

import pytest

from manifestgen.azure.iot_hub import connect
from manifestgen.errors import InputError
from manifestgen.hub_name import hub_identity, is_device_name
from manifestgen.project.load import read
from manifestgen.secret import Secret


@pytest.mark.parametrize(
    ("host", "identity"),
    [
        ("contoso.azure-devices.net", "contoso.azure-devices.net"),
        ("contoso.service.azure-devices.net", "contoso.azure-devices.net"),
        ("contoso.device.azure-devices.net", "contoso.azure-devices.net"),
        ("Contoso.Service.Azure-Devices.net", "Contoso.Azure-Devices.net"),
        ("contoso.service.azure-devices.us", "contoso.azure-devices.us"),
        ("contoso.service.azure-devices.cn:443", "contoso.azure-devices.cn:443"),
        # A hub may be called so, and another domain is not ours to read.
        ("service.azure-devices.net", "service.azure-devices.net"),
        ("device.service.azure-devices.net", "device.azure-devices.net"),
        ("contoso.service.example.net", "contoso.service.example.net"),
        ("localhost:8443", "localhost:8443"),
    ],
)
def test_all_names_of_a_hub_are_one_hub(host: str, identity: str) -> None:
    assert hub_identity(host) == identity
    assert hub_identity(identity) == identity


def test_the_name_for_devices_is_known_from_the_others() -> None:
    assert is_device_name("contoso.DEVICE.azure-devices.net")
    for host in ("contoso.azure-devices.net", "contoso.service.azure-devices.net", "device.azure-devices.net"):
        assert not is_device_name(host)


def test_the_name_for_devices_is_refused_where_the_service_is_asked() -> None:
    text = "HostName=h.device.azure-devices.net;SharedAccessKeyName=owner;SharedAccessKey=Y2FuYXJ5"
    for settings in (
        {"connection_string": Secret(text)},
        {"host": "h.device.azure-devices.net", "credential": object()},
    ):
        with pytest.raises(InputError, match="is a host name for devices only") as caught:
            connect(**settings)
        assert caught.value.fix == "use h.azure-devices.net, or the hub's name with '.service.' in it"
        assert "Y2FuYXJ5" not in caught.value.message


def test_the_name_for_devices_is_refused_in_a_project_file() -> None:
    with pytest.raises(InputError, match="is a host name for devices only") as caught:
        read("version: 1\nhub:\n  host: h.device.azure-devices.net\n", Path("manifestgen.yaml"), {})
    assert caught.value.where == "manifestgen.yaml:3:9"
    assert caught.value.fix.startswith("write h.azure-devices.net")


def test_the_name_for_back_ends_is_taken_in_a_project_file() -> None:
    project = read("version: 1\nhub: {host: h.service.azure-devices.net}\n", Path("manifestgen.yaml"), {})
    assert project.hub is not None and project.hub.host == "h.service.azure-devices.net"
