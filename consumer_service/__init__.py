"""The consumer service: subscribes, dispatches each message to its task, and settles every delivery exactly once."""
