"""W3C Trace Context, level 1: what a well-formed traceparent is."""

import re

TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""Version, trace id and parent id that are not all zeros, flags."""
