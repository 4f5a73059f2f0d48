"""Events and commands of other services, taken in over HTTP: who may send what, read, recorded once, answered once."""
