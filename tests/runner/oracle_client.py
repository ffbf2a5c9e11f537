"""A module with Microsoft's azure-iot-device, to compare packets with. It runs in an environment of its own."""

from __future__ import annotations

import json
import sys
import threading

from azure.iot.device import IoTHubModuleClient, Message, MethodRequest, MethodResponse

client = IoTHubModuleClient.create_from_edge_environment()
received, called, patched = threading.Event(), threading.Event(), threading.Event()
inputs = []


def on_message(message: Message) -> None:
    inputs.append(message)
    received.set()


def on_method(request: MethodRequest) -> None:
    client.send_method_response(MethodResponse(request.request_id, 200, {}))
    called.set()


client.connect()
client.get_twin()
client.on_twin_desired_properties_patch_received = lambda patch: patched.set()
client.on_method_request_received = on_method
client.on_message_received = on_message
print("ready", flush=True)
for event in (received, called, patched):
    if not event.wait(30):
        sys.exit("nothing came")
(message,) = inputs
result = Message(json.dumps({"echo": json.loads(message.data)}, separators=(",", ":")))
result.message_id = f"{message.message_id}:scorer"
result.correlation_id = message.message_id
result.content_type, result.content_encoding = "application/json", "utf-8"
# It hands out who sent a message as a custom property: not to be copied.
result.custom_properties = {k: v for k, v in message.custom_properties.items() if not k.startswith("$.")}
client.send_message_to_output(result, "amlOutput")
client.patch_twin_reported_properties({"counts": {"scored": 1}})
client.disconnect()
