"""What an operator types. `door` begins and ends every command; `topology` is the list of those on the broker."""
