"""Tests of programs that use WebSockets: a pytest plugin, servers, connections and faults of the network."""
