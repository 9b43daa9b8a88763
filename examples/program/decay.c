/* Counts of a decaying source over a background: an external simulator in C.
 *
 * cc -O2 -o decay decay.c -lm        decay RATE LIFETIME BACKGROUND SEED
 *
 * Prints 10 Poisson counts, one a second, with mean
 * rate * exp(-t / lifetime) + background. The same seed gives the same counts.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t state;

/* splitmix64: Steele, Lea & Flood, 2014, https://doi.org/10.1145/2660193.2660195 */
static double uniform(void)
{
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((z ^ (z >> 31)) >> 11) * 0x1.0p-53;
}

/* Poisson by counting exponential waiting times; good for means of thousands. */
static int poisson(double mean)
{
    int count = -1;
    for (double t = 0.0; t < mean; count++)
        t -= log(1.0 - uniform());
    return count < 0 ? 0 : count;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "wanted: decay RATE LIFETIME BACKGROUND SEED\n");
        return 2;
    }
    double rate = atof(argv[1]), lifetime = atof(argv[2]), background = atof(argv[3]);
    state = strtoull(argv[4], NULL, 10);
    if (rate < 0 || lifetime <= 0 || background < 0) {
        fprintf(stderr, "rates must not be negative, the lifetime must be positive\n");
        return 3;
    }
    for (int t = 0; t < 10; t++)
        printf("%d\n", poisson(rate * exp(-t / lifetime) + background));
    return 0;
}
