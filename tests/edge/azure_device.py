"""A module with Microsoft's azure-iot-device, in an environment of its own: `azure_device.py sender` or `receiver`.

The sender asks for its twin, reports, sends three messages, waits for a method and a patch. The receiver prints its
inputs.
"""

from __future__ import annotations

import json
import sys
import threading

from azure.iot.device import IoTHubModuleClient, Message, MethodRequest, MethodResponse


def sender() -> None:
    client = IoTHubModuleClient.create_from_edge_environment()
    called, patched = threading.Event(), threading.Event()

    def on_method(request: MethodRequest) -> None:
        client.send_method_response(MethodResponse(request.request_id, 200, {"echo": request.payload}))
        called.set()

    def on_patch(patch: dict) -> None:
        print(json.dumps({"patch": patch}), flush=True)
        patched.set()

    client.connect()
    client.on_method_request_received = on_method
    client.on_twin_desired_properties_patch_received = on_patch
    print(json.dumps({"twin": client.get_twin()}), flush=True)
    client.patch_twin_reported_properties({"state": "ready"})
    for number in range(3):
        message = Message(json.dumps({"t": number}))
        message.message_id, message.content_type, message.content_encoding = f"m{number}", "application/json", "utf-8"
        message.custom_properties["site"] = "K\u00f6ln / 3"
        client.send_message_to_output(message, "out")
    print(json.dumps({"sent": 3}), flush=True)
    if not called.wait(30) or not patched.wait(30):
        sys.exit("neither a method nor a patch came")
    client.disconnect()


def receiver() -> None:
    client = IoTHubModuleClient.create_from_edge_environment()
    enough, seen = threading.Event(), []

    def on_message(message: Message) -> None:
        found = {"input": message.input_name, "body": json.loads(message.data), "id": message.message_id}
        print(json.dumps({**found, "site": message.custom_properties["site"]}), flush=True)
        seen.append(message)
        if len(seen) == 2:
            enough.set()

    client.on_message_received = on_message
    client.connect()
    print(json.dumps({"ready": True}), flush=True)
    if not enough.wait(60):
        sys.exit("nothing came")
    client.disconnect()


if __name__ == "__main__":
    {"sender": sender, "receiver": receiver}[sys.argv[1]]()
