"""What could not be done, and the careful way back.

`collecting` moves dead letters from the broker into a table: `letters` reads them, `recording` keeps them. `looking`
finds and groups what is there, `forecast` says what a replay would do. `campaign` replays by stages and stops by
itself: `returning` claims, publishes and marks, `watching` tells what became of it. `editing` mends a body, `closing`
discards and purges. Whoever changes something says who and why: `audit`.
"""
