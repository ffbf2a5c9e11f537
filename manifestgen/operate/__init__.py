"""Looking after what runs: a device's logs, restarts, whether it answers, what its model scores, support bundles.

All of it is asked of the device itself, by direct methods of edgeAgent and of the runner.
"""
