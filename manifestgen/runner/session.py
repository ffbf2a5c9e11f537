"""The MQTT session with edgeHub: one connection, made again whenever it is lost, owned by one thread.

paho's client writes to the socket from whichever thread calls it as long as the loop is one's own, and two threads on
one TLS socket break it. So everything here but `start`, `stop`, `join` and `call_soon` runs in the session's thread.
"""

from __future__ import annotations

import logging
import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from .endpoint import Endpoint
from .handler import Handler, Receipt
from .identity import Identity, Signer
from .log import logger
from .pauses import Pauses
from .tls import BufferedSocket
from .wake import Wake
from .workload import WorkloadError

_KEEP_ALIVE = 60
_CONNECT_TIMEOUT = 10.0
_TICK = 0.5
# How long a result may wait for others, so that all are sent at once.
_EXPECTING = 0.005
# A connection that lasted this long was a good one: the next pause is a short one again.
_LASTING = 60.0
_SHORT_LIVED = 10.0
_SUSPICIOUS = 5


class _NotConnected(Exception):
    """The attempt failed; the text says why."""


class _Rejected(_NotConnected):
    """edgeHub did not accept the credentials."""


class Session:
    """The session of one module.

    Attributes:
        generation: counts connections; a receipt of an older one is void.
    """

    def __init__(
        self,
        identity: Identity,
        signer: Signer,
        endpoint: Endpoint,
        subscriptions: Sequence[str],
        *,
        product: str,
        token_ttl: Callable[[], float],
        crashed: Callable[[], None],
        pauses: Pauses | None = None,
    ) -> None:
        """Nothing is connected before `start`.

        Args:
            identity: who connects.
            signer: signs a new token for each connection.
            endpoint: where to.
            subscriptions: topic filters, subscribed to at each connection in this order; inputs with QoS 1, others
                with QoS 0.
            product: name and version of the client, which edgeHub logs.
            token_ttl: how long the next token is valid, in seconds. The session reconnects before it expires.
            crashed: called after an unexpected exception has ended the thread.
            pauses: between attempts to connect.
        """
        self.generation = 0
        self._identity, self._signer, self._endpoint = identity, signer, endpoint
        self._subscriptions, self._token_ttl, self._crashed = subscriptions, token_ttl, crashed
        self._user_name = identity.user_name(product)
        self._pauses = pauses or Pauses()
        self._handler: Handler
        self._thread = threading.Thread(target=self._run, name="session", daemon=True)
        self._stop_at: float | None = None
        self._wake = Wake()
        self._poll = select.poll()
        self._registered = -1
        self._next_tick = 0.0
        self._connack: Any = None
        self._connected = False
        self._lost = ""
        self._short_lived = 0
        self._connected_at = self._renew_at = self._renew_latest = 0.0
        self._done: dict[int, Callable[[], None]] = {}
        self._bundle: str | None = None
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.sslsocket_class = BufferedSocket
        self._client = self._make_client()

    def start(self, handler: Handler) -> None:
        """Connect, in a thread, and stay connected."""
        self._handler = handler
        self._thread.start()

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call this in the session's thread. May be called in any thread."""
        self._wake.call_soon(call)

    def call_later(self, call: Callable[[], None]) -> None:
        """Call this in the session's thread, with its next pass; soon if the handler is `expecting` it."""
        self._wake.call_later(call)

    def stop(self, seconds: float) -> None:
        """Disconnect as soon as the handler is idle, or after these seconds. May be called in any thread."""
        self._stop_at = time.monotonic() + seconds
        self._wake.wake()

    def join(self, seconds: float) -> bool:
        """Wait for the session's end; whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def connected(self) -> bool:
        """Whether edgeHub has accepted the connection that there is."""
        return self._connected

    def publish(self, topic: str, payload: bytes, done: Callable[[], None] | None = None) -> None:
        """Publish with QoS 1, now or as soon as there is a connection; again after a lost one until acknowledged.

        Args:
            topic: at most 65,535 bytes as UTF-8, without `+` and `#`.
            payload: the body.
            done: called once edgeHub has acknowledged it.
        """
        info = self._client.publish(topic, payload, qos=1)
        if info.rc == mqtt.MQTT_ERR_QUEUE_SIZE:
            raise RuntimeError("more than 65,535 messages wait for their acknowledgement")
        if done is not None:
            self._done[info.mid] = done

    def ack(self, receipt: Receipt) -> bool:
        """Acknowledge a received message; whether that was still possible."""
        if receipt.generation != self.generation or not self._connected:
            return False
        if receipt.mid:
            self._client.ack(receipt.mid, 1)
        return True

    # The thread.

    def _run(self) -> None:
        try:
            while self._stop_at is None:
                if self._try_to_connect():
                    self._serve()
        except BaseException:
            logger.critical("the MQTT session failed unexpectedly", exc_info=True)
            self._crashed()
        finally:
            self._ended()
            self._forget_socket()
            self._wake.close()

    def _try_to_connect(self) -> bool:
        rejected = 0
        said = ""
        while self._stop_at is None:
            try:
                self._connect()
            except _NotConnected as error:
                reason = str(error)
                # The clock may have been set since the token was signed: the first rejection costs no pause.
                rejected = rejected + 1 if isinstance(error, _Rejected) else 0
            else:
                return True
            pause = 0.0 if rejected == 1 else self._pauses.next()
            # The same reason again and again is not news.
            logger.log(
                logging.WARNING if reason != said else logging.DEBUG, "%s; next attempt in %.1f s", reason, pause
            )
            said = reason
            self._wait_until(time.monotonic() + pause)
        return False

    def _connect(self) -> None:
        ttl = self._token_ttl()
        started = time.monotonic()
        try:
            bundle = self._signer.trust_bundle()
            if bundle != self._bundle:
                self._context.load_verify_locations(cadata=bundle)
                self._bundle = bundle
            token = self._identity.token(self._signer, int(time.time() + ttl))
            self._client.username_pw_set(self._user_name, token)
            self._connack = None
            self._client.connect(self._endpoint.host, self._endpoint.port, _KEEP_ALIVE)
        except WorkloadError as error:
            raise _NotConnected(str(error)) from error
        except (OSError, ValueError, mqtt.WebsocketConnectionError) as error:
            self._forget_socket()
            raise _NotConnected(self._endpoint.explain(error)) from error
        if (sock := self._buffered()) is not None:
            # Small packets that wait for each other's acknowledgement would take 40 ms each.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.collecting = True
        self._await_connack(started + _CONNECT_TIMEOUT)
        self._connected_at = time.monotonic()
        # At four fifths of the token's life if nothing is under way, a little before its end in any case.
        self._renew_at = started + ttl * random.uniform(0.75, 0.85)  # noqa: S311 - not a secret
        self._renew_latest = started + ttl * 0.95
        logger.info("connected to edgeHub at %s as %s", self._endpoint, self._identity.client_id)

    def _await_connack(self, deadline: float) -> None:
        while self._connack is None and self._client.socket() is not None and time.monotonic() < deadline:
            self._wait(0.1)
        code = self._connack
        if code is not None and not code.is_failure:
            return
        gone = self._client.socket() is None
        self._forget_socket()
        if code is not None:
            kind = _Rejected if code.value in (134, 135) else _NotConnected  # bad user name or password, not authorized
            raise kind(f"edgeHub at {self._endpoint.host} rejected the connection: {str(code).lower()}")
        what = "closed the connection" if gone else f"did not answer within {_CONNECT_TIMEOUT:.0f} s"
        raise _NotConnected(f"edgeHub at {self._endpoint} {what}")

    def _serve(self) -> None:
        """Serve the connection until it is lost, must be renewed, or the session is to stop."""
        self._lost = ""
        while self._client.socket() is not None:
            self._wake.run()
            now = time.monotonic()
            if self._stop_at is not None and (now >= self._stop_at or self._handler.idle()):
                self._disconnect()
                logger.info("disconnected from edgeHub")
                return
            if now >= self._renew_at and (now >= self._renew_latest or self._handler.idle()):
                logger.debug("reconnecting before the token expires")
                self._disconnect()
                return
            self._wait(_TICK)
        self._ended()
        lasted = time.monotonic() - self._connected_at
        if lasted >= _LASTING:
            self._pauses.reset()
        self._short_lived = self._short_lived + 1 if lasted < _SHORT_LIVED else 0
        pause = self._pauses.next()
        logger.warning("lost the connection to edgeHub: %s; next attempt in %.1f s", self._lost, pause)
        if self._short_lived >= _SUSPICIOUS:
            logger.warning(
                "edgeHub closed %d connections within seconds: does another client use the identity %s?",
                self._short_lived,
                self._identity.client_id,
            )
        self._wait_until(time.monotonic() + pause)

    def _disconnect(self) -> None:
        self._client.disconnect()
        deadline = time.monotonic() + 2
        while self._client.socket() is not None and time.monotonic() < deadline:
            self._wait(0.1)
        self._forget_socket()
        self._ended()

    def _ended(self) -> None:
        if self._connected:
            self._connected = False
            self._handler.disconnected()

    def _wait_until(self, deadline: float) -> None:
        """Pause without a connection; calls are carried out, and `stop` ends it."""
        while self._stop_at is None and (left := deadline - time.monotonic()) > 0:
            self._wake.run()
            self._wait(min(left, _TICK))

    def _wait(self, seconds: float) -> None:
        """Send what is unsent, wait for the socket or a call, and do what the socket has to do."""
        self._flush()
        self._handler.flushed()
        self._register()
        most = min(seconds, self._next_tick - time.monotonic(), _EXPECTING if self._handler.expecting() else _TICK)
        for _, event in self._wake.wait(self._poll, max(0.0, most)):
            if event & ~select.POLLOUT:
                self._read()
        if self._client.want_write():
            self._client.loop_write()
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + _TICK
            self._client.loop_misc()
            self._handler.tick(now)

    def _register(self) -> None:
        sock = self._client.socket()
        descriptor = sock.fileno() if sock is not None else -1
        if descriptor != self._registered:
            if self._registered >= 0:
                # Closed in the meantime, and perhaps taken by another file of this process.
                self._poll.unregister(self._registered)
            self._registered = descriptor
        if descriptor >= 0:
            unsent = self._client.want_write() or bool((buffered := self._buffered()) and buffered.unsent)
            self._poll.register(descriptor, select.POLLIN | (select.POLLOUT if unsent else 0))

    def _flush(self) -> None:
        if (sock := self._buffered()) is not None:
            try:
                sock.flush()
            except OSError:
                self._forget_socket()

    def _buffered(self) -> BufferedSocket | None:
        """The connection's socket, unless it is the wrapper of a WebSocket."""
        sock = self._client.socket()
        return sock if isinstance(sock, BufferedSocket) else None

    def _read(self) -> None:
        while self._client.socket() is not None and self._client.loop_read() == mqtt.MQTT_ERR_SUCCESS:
            sock: Any = self._client.socket()
            # poll does not see data that TLS has already decrypted.
            if sock is None or not sock.pending():
                return

    # The client.

    def _make_client(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._identity.client_id,
            # edgeHub keeps the subscriptions, and sends again what was not acknowledged.
            clean_session=False,
            protocol=mqtt.MQTTv311,
            transport="websockets" if self._endpoint.websocket else "tcp",
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.ws_set_options(path="/$iothub/websocket")
        client.tls_set_context(self._context)
        client.connect_timeout = _CONNECT_TIMEOUT
        # The module limits what it publishes; with a limit, paho scans all messages at each acknowledgement.
        client.max_inflight_messages_set(0)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        return client

    def _on_connect(self, client: mqtt.Client, data: Any, flags: Any, code: Any, properties: Any) -> None:
        self._connack = code
        if code.is_failure:
            return
        # All of this here: a message can follow in the bytes that the acknowledgement came with.
        self.generation += 1
        self._connected = True
        for topic in self._subscriptions:
            # edgeHub takes acknowledgements only in the order in which it sent the messages. An input is acknowledged
            # when it is scored, and what comes meanwhile must not need one.
            client.subscribe(topic, 0 if topic.startswith("$") else 1)
        self._handler.connected()

    def _on_disconnect(self, client: mqtt.Client, data: Any, flags: Any, code: Any, properties: Any) -> None:
        reason = str(code).lower()
        self._lost = "closed by the other side" if reason == "unspecified error" else reason

    def _on_message(self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        receipt = Receipt(self.generation, message.mid)
        try:
            topic = message.topic
        except UnicodeDecodeError:
            logger.warning("dropped a message: its topic is not UTF-8")
            self.ack(receipt)
            return
        self._handler.received(topic, bytes(message.payload), receipt)

    def _on_publish(self, client: mqtt.Client, data: Any, mid: int, code: Any, properties: Any) -> None:
        done = self._done.pop(mid, None)
        if done is not None:
            done()

    def _on_subscribe(self, client: mqtt.Client, data: Any, mid: int, codes: Any, properties: Any) -> None:
        if any(code.is_failure for code in codes):
            logger.error("edgeHub rejected a subscription: %s", ", ".join(str(code) for code in codes))

    def _forget_socket(self) -> None:
        """Close what is left of a connection, without a DISCONNECT."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()
            self._client.loop_read()  # sees that it is closed
