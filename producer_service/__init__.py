"""The producer service: commits business changes with their events, and relays the events to the broker."""
