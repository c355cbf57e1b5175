"""A replica of the three platforms: one HTTPS server on loopback that answers for all their host names with pages of their real shapes.

`demo.replica.server.ReplicaServer` serves, `corpus` decides what exists, `faults` what goes wrong, `truth` what should have been found.
"""
