"""What an operator types. `door` begins and ends every command; `topology` is the list of those on the broker.

`dead_letters` is the list of those on dead letters, for which `desk` opens what they need: `showing` changes nothing,
`replaying` and `deciding` do, and ask who and why.
"""
