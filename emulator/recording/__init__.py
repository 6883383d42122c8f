"""What a machine's libraries answer: recorded to a file, and compared with nvemu's own answers.

`calls` says which calls are made, `caller` is the program that makes them, `recorder` runs it in
front of a driver or of nvemu, and `comparing` sets two captures beside each other.
"""
