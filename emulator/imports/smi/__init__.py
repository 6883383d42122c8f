"""What nvidia-smi printed of a machine, as facts: `-q -x` and `-q`, of the drivers from 470 on."""
