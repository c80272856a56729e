"""The control loop: a store of what users want, a compilation a change, objects and Secrets written, pods followed.

It promises that equal wishes cause no writes, that one bad object never holds up another, and that what ran last
goes on where something breaks. It knows no kopf and no HTTP of the API server: ``cluster.api.Api`` is all that it asks.
"""
