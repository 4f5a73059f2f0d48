"""The catalogue: what this system says, for people and for tools, served from documents that were written beforehand.

`./dev contracts export` writes them from the code of both services, so nothing here needs the other service.
"""
