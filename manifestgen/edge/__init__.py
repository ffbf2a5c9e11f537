"""An IoT Edge on this machine: modules, the hub between them, and the workload API that proves who they are.

Real: MQTT over TLS, shared access signatures, execution of routes, delivery as by edgeHub, twins, methods.
Missing: containers, a store that survives the process, AMQP, WebSockets, and devices below the gateway.
"""
