"""Who may connect to edgeHub, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from edge.hubs import Hub, running, wait
from edge.raw import Gone, Module, connect, packet, text, token, user_name

from manifestgen.edge.hub import Limits
from manifestgen.edge.identity import Identity

ACCEPTED, BAD_VERSION, NOT_AUTHORIZED = 0, 1, 5


def test_a_module_with_its_own_token_is_connected(hub: Hub) -> None:
    module = hub.open("a")
    assert module.login().body == bytes((0, ACCEPTED))
    assert hub.hub.connected() == {"a"}
    module.send(packet(0xE0))
    module.gone()
    wait(lambda: not hub.hub.connected())


Change = Callable[[Identity], tuple[str, str, str]]  # client ID, user name, password

REFUSED: dict[str, Change] = {
    "another key": lambda i: ("edge-1/a", user_name(i, "a"), token(i, "a", key=b"guessed")),
    "an expired token": lambda i: ("edge-1/a", user_name(i, "a"), token(i, "a", time.time() - 1)),
    "another module's token": lambda i: ("edge-1/a", user_name(i, "a"), token(i, "b")),
    "another client ID": lambda i: ("edge-1/b", user_name(i, "a"), token(i, "a")),
    "no password": lambda i: ("edge-1/a", user_name(i, "a"), ""),
    "a password": lambda i: ("edge-1/a", user_name(i, "a"), "secret"),
    "a token without an end": lambda i: ("edge-1/a", user_name(i, "a"), token(i, "a").partition("&se=")[0]),
    "a signature that is no base64": lambda i: ("edge-1/a", user_name(i, "a"), token(i, "a").replace("sig=", "sig=!")),
    "an unknown module": lambda i: ("edge-1/x", user_name(i, "x"), token(i, "a")),
    "another device": lambda i: ("edge-2/a", f"{i.hub}/edge-2/a/?api-version=1", token(i, "a")),
    "a device without a module": lambda i: ("edge-1", f"{i.hub}/edge-1/?api-version=1", token(i, "a")),
    "no api-version": lambda i: ("edge-1/a", f"{i.hub}/edge-1/a/", token(i, "a")),
    "another hub's token": lambda i: (
        "edge-1/a",
        user_name(i, "a"),
        token(Identity("other.azure-devices.net", i.device, _keys={"a": i.key("a") or b""}), "a"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_login_is_refused_with(hub: Hub, name: str) -> None:
    client, user, password = REFUSED[name](hub.identity)
    module = hub.open("a")
    module.send(connect(client, user, password))
    assert module.receive().body[1] == NOT_AUTHORIZED
    module.gone()
    assert not hub.hub.connected()
    wait(lambda: any("not authorized" in line for line in hub.said))
    assert not any("sig=" in line or "SharedAccessSignature" in line for line in hub.said)


def test_a_token_for_the_gateway_s_name_is_accepted(hub: Hub) -> None:
    gateway = Identity(hub.identity.gateway, "edge-1", _keys={"a": hub.identity.key("a") or b""})
    assert hub.open("a").login(password=token(gateway, "a")).body[1] == ACCEPTED


def test_a_connection_ends_when_its_token_does_at_the_next_look(hub: Hub) -> None:
    module = hub.open("a")
    assert module.login(password=token(hub.identity, "a", time.time() + 1.5)).body[1] == ACCEPTED
    module.nothing(0.3)
    module.gone(3)
    wait(lambda: any("its token has expired" in line for line in hub.said))


def test_edge_hub_looks_at_tokens_every_five_minutes() -> None:
    assert Limits().tokens == 300


def test_a_clock_that_is_set_ends_no_connection_but_those_whose_tokens_have_ended_by_it() -> None:
    now = [time.time()]
    with running(clock=lambda: now[0]) as hub:
        module = hub.module("a")
        now[0] -= 86400
        module.nothing(0.5)
        now[0] += 86400 + 7200
        module.gone(3)


def test_a_module_that_is_removed_cannot_connect_any_more(hub: Hub) -> None:
    module = hub.module("a")
    password = token(hub.identity, "a")
    hub.identity.remove("a")
    hub.hub.disconnect("a")
    module.gone()
    assert hub.open("a").login(password=password).body[1] == NOT_AUTHORIZED


def test_another_version_of_mqtt_is_answered_as_the_specification_says(hub: Hub) -> None:
    module = hub.open("a")
    module.send(packet(0x10, text("MQTT") + bytes((5, 0xC2, 0, 60, 0)) + text("") + text("u") + text("p")))
    assert module.receive().body[1] == BAD_VERSION
    module.gone()


def test_a_client_that_says_nothing_is_disconnected(hub: Hub) -> None:
    hub.open("a").gone(3)
    wait(lambda: any("no CONNECT came" in line for line in hub.said))


def test_a_silent_module_is_disconnected_after_one_and_a_half_times_its_keep_alive(hub: Hub) -> None:
    module = hub.open("a")
    module.login(keep_alive=1)
    started = time.monotonic()
    module.gone(5)
    assert 1.3 < time.monotonic() - started < 4


def test_a_ping_keeps_a_connection(hub: Hub) -> None:
    module = hub.open("a")
    module.login(keep_alive=1)
    for _ in range(5):
        time.sleep(0.4)
        module.send(packet(0xC0))
        assert module.receive().first == 0xD0


def test_a_second_connection_of_a_module_takes_over(hub: Hub) -> None:
    first = hub.module("a")
    second = hub.open("a")
    assert second.login().body == bytes((1, ACCEPTED))  # its subscriptions are still there
    first.gone()
    hub.routes('FROM /messages/* INTO BrokeredEndpoint("/modules/a/inputs/in")')
    hub.feed(b"1")
    assert second.receive().payload == b"1"
    assert hub.hub.connected() == {"a"}


def test_subscriptions_of_a_clean_session_end_with_it(hub: Hub) -> None:
    hub.module("a", clean=True).send(packet(0xE0))
    wait(lambda: not hub.hub.connected())
    assert hub.open("a").login().body[0] == 0


def test_a_client_that_does_not_trust_the_authority_does_no_harm(hub: Hub) -> None:
    other = Identity("acme.azure-devices.net", "edge-1")

    with pytest.raises(OSError, match="certificate verify failed"):
        Module(other, hub.hub.port, "a")
    hub.module("a")


def test_a_hub_that_stops_tells_its_modules_and_gives_its_port_free(hub: Hub) -> None:
    module, port = hub.module("a"), hub.hub.port
    hub.hub.stop()
    with pytest.raises(Gone):
        module.receive()
    hub.hub.start()
    assert hub.hub.port == port
    hub.module("a")
