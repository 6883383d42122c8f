"""What nvidia-smi printed of a machine, as facts: `-q -x` and `-q`, of the drivers from 470 on.

`reading` goes from a file to facts by two steps: `trees` make the XML's tree of it, also of text;
`mapping` takes each field of a GPU by the `tables`, and what is no field alone by `elements`,
`processes`, `clocks` and `mig`; `adjusting` settles what fields say together.
"""
