"""Helper functions of exported C code besides math.h; each is included where it is used."""

from __future__ import annotations

HELPERS: dict[str, str] = {
    "dr_index": """
/* Checks that 0 <= index < size; an index out of range is reported and replaced by 0. */
static int64_t dr_index(int64_t index, int64_t size) {
    if (index < 0 || index >= size) { if (!dr_status) dr_status = 1; return 0; }
    return index;
}""",
    "dr_maximum": """
/* The larger number; NaN if either is NaN. */
static double dr_maximum(double a, double b) { return (a > b || a != a) ? a : b; }""",
    "dr_minimum": """
/* The smaller number; NaN if either is NaN. */
static double dr_minimum(double a, double b) { return (a < b || a != a) ? a : b; }""",
    "dr_whole": """
/* Truncates to an integer, saturating at low and high; NaN becomes 0. */
static int64_t dr_whole(double x, int64_t low, int64_t high) {
    if (x != x) return 0;
    if (x <= (double)low) return low;
    if (x >= (double)high) return high;
    return (int64_t)x;
}""",
    "dr_random": """
/* Both words of Threefry-2x32 with 20 rounds for key (seed, stream) and counter (step, call). */
static void dr_threefry(uint32_t seed, uint32_t stream, uint32_t step, uint32_t call, uint32_t word[2]) {
    static const int rotation[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    const uint32_t key[3] = {seed, stream, seed ^ stream ^ 0x1BD11BDAu};
    uint32_t a = step + key[0], b = call + key[1];
    for (uint32_t group = 0; group < 5; ++group) {
        for (int i = 0; i < 4; ++i) {
            const int r = rotation[4 * (group % 2) + i];
            a += b;
            b = ((b << r) | (b >> (32 - r))) ^ a;
        }
        a += key[(group + 1) % 3];
        b += key[(group + 2) % 3] + group + 1;
    }
    word[0] = a;
    word[1] = b;
}

/* Element i of a stream of uniform float numbers in [0, 1). */
static float dr_random_float(int64_t seed, int64_t step, uint32_t stream, int64_t i) {
    uint32_t word[2];
    dr_threefry((uint32_t)seed, stream, (uint32_t)step, (uint32_t)((i / 32) * 16 + i % 16), word);
    return (float)(word[(i / 16) % 2] >> 8) * 0x1p-24f;
}

/* Element i of a stream of uniform double numbers in [0, 1). */
static double dr_random_double(int64_t seed, int64_t step, uint32_t stream, int64_t i) {
    uint32_t word[2];
    dr_threefry((uint32_t)seed, stream, (uint32_t)step, (uint32_t)i, word);
    return (double)(((uint64_t)word[0] << 21) ^ (word[1] >> 11)) * 0x1p-53;
}""",
}

# Whole-array routines for elements of type T (N is the suffix of the name); W is the accumulator, double for floats.
ROUTINES: dict[str, str] = {
    "argsort": """
/* Stable argsort of columns of keys (outer, n, inner) along n; NaN last. */
static void dr_argsort_N(const T *keys, int64_t *result, int64_t *work, int64_t outer, int64_t n, int64_t inner) {
    for (int64_t item = 0; item < outer * inner; ++item) {
        const T *key = keys + item / inner * n * inner + item % inner;
        int64_t *place = result + item / inner * n * inner + item % inner;
        int64_t *from = work, *to = work + n;
        for (int64_t i = 0; i < n; ++i) from[i] = i;
        for (int64_t run = 1; run < n; run *= 2) {
            for (int64_t low = 0; low < n; low += 2 * run) {
                const int64_t middle = low + run < n ? low + run : n;
                const int64_t high = low + 2 * run < n ? low + 2 * run : n;
                int64_t left = low, right = middle;
                for (int64_t i = low; i < high; ++i) {
                    int takes_right = left >= middle;
                    if (left < middle && right < high) {
                        const T a = key[from[left] * inner], b = key[from[right] * inner];
                        takes_right = b < a || (b == b && a != a);
                    }
                    to[i] = takes_right ? from[right++] : from[left++];
                }
            }
            int64_t *other = from;
            from = to;
            to = other;
        }
        for (int64_t i = 0; i < n; ++i) place[i * inner] = from[i];
    }
}""",
    "cumulative_sum": """
/* Cumulative sums of columns (outer, n, inner) along n, accumulated in type W. */
static void dr_cumulative_sum_N(const T *x, T *result, int64_t outer, int64_t n, int64_t inner) {
    for (int64_t item = 0; item < outer * inner; ++item) {
        const int64_t start = item / inner * n * inner + item % inner;
        W total = 0;
        for (int64_t i = 0; i < n; ++i) {
            total += (W)x[start + i * inner];
            result[start + i * inner] = (T)total;
        }
    }
}""",
    "eliminate": """
/* Gaussian elimination with partial pivoting of an n by n matrix and m columns of a right-hand side. */
static void dr_eliminate_N(T *a, T *right, int64_t n, int64_t m) {
    for (int64_t k = 0; k < n; ++k) {
        int64_t pivot = k;
        for (int64_t i = k; i < n; ++i) if (fabs(a[i * n + k]) > fabs(a[pivot * n + k])) pivot = i;
        for (int64_t j = 0; j < n; ++j) { T x = a[k * n + j]; a[k * n + j] = a[pivot * n + j]; a[pivot * n + j] = x; }
        for (int64_t j = 0; j < m; ++j) {
            T x = right[k * m + j]; right[k * m + j] = right[pivot * m + j]; right[pivot * m + j] = x;
        }
        if (a[k * n + k] == 0) continue;
        for (int64_t i = k + 1; i < n; ++i) {
            const T factor = a[i * n + k] / a[k * n + k];
            for (int64_t j = k + 1; j < n; ++j) a[i * n + j] -= factor * a[k * n + j];
            for (int64_t j = 0; j < m; ++j) right[i * m + j] -= factor * right[k * m + j];
        }
    }
}""",
    "solve": """
/* X = A^-1 B for each item of a batch. */
static void dr_solve_N(const T *a, const T *b, T *x, T *work, int64_t batch, int64_t n, int64_t m) {
    for (int64_t item = 0; item < batch; ++item, a += n * n, b += n * m, x += n * m) {
        memcpy(work, a, sizeof(T) * (size_t)(n * n));
        memcpy(x, b, sizeof(T) * (size_t)(n * m));
        dr_eliminate_N(work, x, n, m);
        for (int64_t i = n - 1; i >= 0; --i) {
            if (work[i * n + i] == 0) dr_status = 2;
            for (int64_t j = 0; j < m; ++j) {
                for (int64_t k = i + 1; k < n; ++k) x[i * m + j] -= work[i * n + k] * x[k * m + j];
                x[i * m + j] /= work[i * n + i];
            }
        }
    }
}""",
    "log_determinant": """
/* ln |det A| for each item of a batch. */
static void dr_log_determinant_N(const T *a, T *result, T *work, int64_t batch, int64_t n, int64_t m) {
    for (int64_t item = 0; item < batch; ++item, a += n * n) {
        memcpy(work, a, sizeof(T) * (size_t)(n * n));
        dr_eliminate_N(work, work, n, m);
        result[item] = 0;
        for (int64_t i = 0; i < n; ++i) result[item] += (T)log(fabs(work[i * n + i]));
    }
}""",
    "cholesky": """
/* The lower triangular L with L L^T = A for each item of a batch. */
static void dr_cholesky_N(const T *a, T *lower, int64_t batch, int64_t n, int64_t m) {
    (void)m;
    for (int64_t item = 0; item < batch; ++item, a += n * n, lower += n * n) {
        for (int64_t i = 0; i < n; ++i) {
            for (int64_t j = 0; j < n; ++j) {
                T sum = j <= i ? a[i * n + j] : 0;
                for (int64_t k = 0; j <= i && k < j; ++k) sum -= lower[i * n + k] * lower[j * n + k];
                if (j == i && !(sum > 0)) dr_status = 3;
                lower[i * n + j] = j > i ? 0 : j == i ? (T)sqrt(sum) : sum / lower[j * n + j];
            }
        }
    }
}""",
}
