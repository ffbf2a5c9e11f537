"""EdgeHub: an MQTT 3.1.1 broker that delivers as IoT Edge's does.

    hub = EdgeHub(identity, cloud, log=print)
    hub.start()
    hub.configure({"routes": {"up": "FROM /messages/* INTO $upstream"}})

[Why it is our own, and what it does as the runtime does](../../../docs/decisions/edge-hub.md).
"""

from manifestgen.edge.hub.edge_hub import EdgeHub
from manifestgen.edge.hub.limits import Limits
from manifestgen.edge.hub.methods import MethodAnswer, NotConnected, TimedOut

__all__ = ["EdgeHub", "Limits", "MethodAnswer", "NotConnected", "TimedOut"]
