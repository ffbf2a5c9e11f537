"""An IoT Edge on this machine: modules, the hub between them, and the workload API that proves who they are.

What is real: MQTT over TLS, shared access signatures, routes carried out, delivery as edgeHub does it, twins, methods.
What is not: containers, a store that survives the process, AMQP, WebSockets, and devices below the gateway.
"""
