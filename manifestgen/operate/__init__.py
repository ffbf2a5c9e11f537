"""Operates running devices: logs, restarts, pings, scores, support bundles.

All of this goes through direct methods of edgeAgent and of the runner on the device.
"""
