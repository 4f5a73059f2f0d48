"""What tasks do to the outside, one outside system per file. Each turns its library's errors into our two failures."""
