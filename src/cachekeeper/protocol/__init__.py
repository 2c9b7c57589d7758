"""The endpoint that devices talk to, over HTTP (docs/devices-protocol.md).

A phone follows its manifest, downloads what is in it, reports what it read and how it is, and pins.
It knows one deployment by a token of its own, and sees nothing of other devices.
"""
