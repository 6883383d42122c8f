// What the images beside this file are made of; README.md says how.
__device__ int counter = 42;
__constant__ float coefficients[8] = {0.5f, 1.5f};
__managed__ int total = 7;

struct Pair {
    char tag;
    double value;
};

extern "C" __global__ void saxpy(int n, float a, const float *x, float *y)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = a * x[i] + y[i];
    if (i == 0)
        atomicAdd(&counter, 1);
}

extern "C" __global__ void __launch_bounds__(128)
bounded(char c, Pair pair, short s, double *out)
{
    __shared__ double buffer[128];
    buffer[threadIdx.x] = pair.value * s + c + total;
    __syncthreads();
    out[threadIdx.x] = buffer[127 - threadIdx.x] * coefficients[threadIdx.x & 7];
}
