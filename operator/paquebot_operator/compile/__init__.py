"""From custom resources to the MTA's configuration: pure, deterministic, byte-stable.

Knows the API and the contract; reads no cluster, no disk and no clock. What is wrong with an object comes back as
conditions of that object; it never stops the others.
"""
