"""A scenario whose kernels do their work: what the clients launch, in Python."""

from emulator import Gpu, Scenario, kernel

scenario = Scenario(gpus=[Gpu("a100-sxm4-80gb", count=2)])

# What numba passes for an array of one dimension: two pointers to objects of the host's, length,
# size of an element, the data, shape and stride.
ARRAY = ("Q", "Q", "q", "q", "d*", "q", "q")


@kernel("__main__::scale*")
def scale(launch):
    values = launch.unpack(*ARRAY, "d", *ARRAY)
    source, factor, result = values[4], values[7], values[12]
    for place in range(min(values[2], launch.grid[0] * launch.block[0])):
        result[place] = source[place] * factor


@kernel("saxpy")
def saxpy(launch):
    factor, x, y, size = launch.unpack("f", "f*", "f*", "Q")
    for place in range(size):
        y[place] = factor * x[place] + y[place]


@kernel("add")
def add(launch):
    a, b, total, size = launch.unpack("f*", "f*", "f*", "Q")
    for place in range(size):
        total[place] = a[place] + b[place]
