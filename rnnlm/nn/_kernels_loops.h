/* The loops of `_kernels.c`, which includes this file once for each target. TARGET is its name, WIDTH the number of
   floats in a register, PANELS the largest number of panels in a tile of MOST_ROWS rows whose sums fit in registers. */

#define VECTORS (PANEL / WIDTH) /* number of vectors in a row of a panel */

typedef float T_(vector) __attribute__((vector_size(4 * WIDTH), aligned(4)));

/* --- scalar functions -------------------------------------------------------------------------------------------- */

/* For |x| < 88, e^x = 2^n e^r with n = round(x / ln 2), so that |r| < 0.35. Return e^r - 1 by its series, truncated
   where the next term is below 6e-9 of it; set *power to 2^n. NaN stays NaN. */
INLINE float T_(reduced)(float x, float *power)
{
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float shifted = x * 1.44269504f + round;
    float n = shifted - round;
    float r = x - n * 0.693359375f + n * 2.12194440e-4f; /* ln 2 in two parts; the first has few bits, to be exact */
    float series = 1.0f / 5040;
    series = series * r + 1.0f / 720;
    series = series * r + 1.0f / 120;
    series = series * r + 1.0f / 24;
    series = series * r + 1.0f / 6;
    series = series * r + 0.5f;
    series = series * r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23;
    memcpy(power, &bits, sizeof bits);
    return series * r;
}

/* Clip x to [least, most]; NaN stays NaN. */
INLINE float T_(limited)(float x, float least, float most)
{
    x = x < least ? least : x;
    return x > most ? most : x;
}

/* e^x. The limits keep e^x and its reciprocal within the normal numbers. */
INLINE float T_(exponential)(float x)
{
    float power, less_one = T_(reduced)(T_(limited)(x, -87.0f, 88.0f), &power);
    return power * (less_one + 1.0f);
}

INLINE float T_(sigmoid)(float x) { return 1.0f / (1.0f + T_(exponential)(-x)); }

/* tanh(x) = (e^2x - 1) / (e^2x + 1); beyond 10 it is 1 in single precision. e^2x - 1 is computed without cancellation,
   so that small results are as exact as large ones. */
INLINE float T_(tanh)(float x)
{
    float power, less_one = T_(reduced)(2.0f * T_(limited)(x, -10.0f, 10.0f), &power);
    float e = power * less_one + (power - 1.0f);
    return e / (e + 2.0f);
}

/* --- matrix products --------------------------------------------------------------------------------------------- */

/* out (rows, panels * PANEL) = a (rows, K) times panels that were packed side by side. Rows of `out` are `step` floats
   apart, rows of `a` `width` floats. Callers pass constant `rows` and `panels`, so that all sums are in registers. */
INLINE void T_(tile)(const int rows, const int panels, Py_ssize_t K, const float *a, Py_ssize_t width,
                     const float *packed, float *out, Py_ssize_t step)
{
    T_(vector) sums[MOST_ROWS][PANELS * VECTORS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < panels * VECTORS; v++)
            sums[r][v] = (T_(vector)){0};
    for (Py_ssize_t k = 0; k < K; k++) {
        T_(vector) columns[PANELS * VECTORS];
        for (int v = 0; v < panels * VECTORS; v++)
            columns[v] = *(const T_(vector) *)(packed + k * panels * PANEL + v * WIDTH);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < panels * VECTORS; v++)
                sums[r][v] += a[r * width + k] * columns[v];
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < panels * VECTORS; v++)
            *(T_(vector) *)(out + r * step + v * WIDTH) = sums[r][v];
}

/* Like `tile`, for any number of rows up to MOST_ROWS and of panels. */
static void T_(product)(int rows, int panels, Py_ssize_t K, const float *a, Py_ssize_t width, const float *packed,
                        float *out, Py_ssize_t step)
{
#define CASE(panels)                                                                                                   \
    switch (rows) {                                                                                                    \
    case 1: T_(tile)(1, panels, K, a, width, packed, out, step); break;                                                    \
    case 2: T_(tile)(2, panels, K, a, width, packed, out, step); break;                                                    \
    case 3: T_(tile)(3, panels, K, a, width, packed, out, step); break;                                                    \
    case 4: T_(tile)(4, panels, K, a, width, packed, out, step); break;                                                    \
    case 5: T_(tile)(5, panels, K, a, width, packed, out, step); break;                                                    \
    default: T_(tile)(6, panels, K, a, width, packed, out, step);                                                            \
    }
    for (; panels > PANELS; panels -= PANELS, packed += PANELS * K * PANEL, out += PANELS * PANEL)
        CASE(PANELS)
#if PANELS > 1
    if (panels == 4)
        CASE(4)
    else if (panels == 3)
        CASE(3)
    else if (panels == 2)
        CASE(2)
    else
#endif
        CASE(1)
#undef CASE
}

/* out (rows, n) = a (rows, K) times the transpose of an unpacked matrix (n, K), for so few rows that packing would not
   pay. Four independent sums at a time hide the latency of the additions. */
static void T_(dots)(int rows, Py_ssize_t n, Py_ssize_t K, const float *restrict a, const float *restrict matrix,
                     float *restrict out, Py_ssize_t step)
{
    for (Py_ssize_t j = 0; j < n; j += 4) {
        const float *restrict m = matrix + j * K;
        for (int r = 0; r < rows; r++) {
            const float *restrict x = a + r * K;
            float *restrict y = out + r * step + j, s0 = 0, s1 = 0, s2 = 0, s3 = 0;
            if (n - j >= 4) {
                _Pragma("omp simd reduction(+ : s0, s1, s2, s3)") for (Py_ssize_t k = 0; k < K; k++)
                {
                    s0 += x[k] * m[k];
                    s1 += x[k] * m[K + k];
                    s2 += x[k] * m[2 * K + k];
                    s3 += x[k] * m[3 * K + k];
                }
                y[0] = s0, y[1] = s1, y[2] = s2, y[3] = s3;
            } else
                for (Py_ssize_t i = 0; i < n - j; i++) {
                    float sum = 0;
                    _Pragma("omp simd reduction(+ : sum)") for (Py_ssize_t k = 0; k < K; k++)
                        sum += x[k] * m[i * K + k];
                    y[i] = sum;
                }
        }
    }
}

/* --- cells: the formulas of nn/cells, for n units from u on, in row b of step t ----------------------------------- */

#define FOR_EACH_UNIT _Pragma("omp simd") for (Py_ssize_t j = 0; j < n; j++)
#define UNITS(name) INLINE void T_(name##_row)(const struct window *w, Py_ssize_t t, Py_ssize_t b, Py_ssize_t u, \
                                               const Py_ssize_t n, const float *restrict product)
/* Address of these units in a slab (T, B, slabs * H). */
#define AT(slab, t, slabs) ((slab) + (((t) * w->B + b) * (slabs)) * w->H + u)
#define KEEP(t) (w->keep && (t) < w->T ? w->keep[(t) * w->B + b] : 1.0f)
#define ARGUMENT(gate) (gates[(gate) * H + j] + k * product[(gate) * PANEL + j] + bias[(gate) * H + j])

UNITS(rnn)
{
    const float *restrict gates = AT(w->gates, t, 1), *restrict bias = w->bias + u;
    float *restrict h = AT(w->h, t + 1, 1), k = KEEP(t);
    const Py_ssize_t H = w->H;
    if (w->activation == TANH)
        FOR_EACH_UNIT h[j] = T_(tanh)(ARGUMENT(0));
    else if (w->activation == SIGMOID)
        FOR_EACH_UNIT h[j] = T_(sigmoid)(ARGUMENT(0));
    else if (w->activation == RELU)
        FOR_EACH_UNIT h[j] = T_(limited)(ARGUMENT(0), 0, LARGEST_STATE);
    else
        FOR_EACH_UNIT h[j] = T_(limited)(ARGUMENT(0), -LARGEST_STATE, LARGEST_STATE);
}

UNITS(rnn_backward)
{
    const float *restrict dh = AT(w->dh, t, 1), *restrict h = AT(w->h, t + 1, 1), k = KEEP(t + 1);
    float *restrict delta = AT(w->delta, t, 1);
    if (w->activation == TANH)
        FOR_EACH_UNIT delta[j] = (dh[j] + k * product[j]) * (1 - h[j] * h[j]);
    else if (w->activation == SIGMOID)
        FOR_EACH_UNIT delta[j] = (dh[j] + k * product[j]) * (h[j] * (1 - h[j]));
    else if (w->activation == RELU)
        FOR_EACH_UNIT delta[j] = h[j] > 0 ? dh[j] + k * product[j] : 0;
    else
        FOR_EACH_UNIT delta[j] = dh[j] + k * product[j];
}

UNITS(lstm)
{
    const Py_ssize_t H = w->H;
    const float *restrict bias = w->bias + u, k = KEEP(t);
    float *restrict gates = AT(w->gates, t, 4), *restrict c_previous = AT(w->c, t, 1), *restrict c = AT(w->c, t + 1, 1);
    float *restrict tanh_c = AT(w->tanh_c, t, 1), *restrict h = AT(w->h, t + 1, 1);
    FOR_EACH_UNIT
    {
        float i = T_(sigmoid)(ARGUMENT(0)), f = T_(sigmoid)(ARGUMENT(1));
        float g = T_(tanh)(ARGUMENT(2)), o = T_(sigmoid)(ARGUMENT(3));
        float before = k * c_previous[j];
        float now = f * before + i * g;
        float s = T_(tanh)(now);
        gates[j] = i;
        gates[H + j] = f;
        gates[2 * H + j] = g;
        gates[3 * H + j] = o;
        c_previous[j] = before;
        c[j] = now;
        tanh_c[j] = s;
        h[j] = o * s;
    }
}

UNITS(lstm_backward)
{
    const Py_ssize_t H = w->H;
    const float *restrict dh = AT(w->dh, t, 1), *restrict gates = AT(w->gates, t, 4), k = KEEP(t + 1);
    const float *restrict c_previous = AT(w->c, t, 1), *restrict tanh_c = AT(w->tanh_c, t, 1);
    float *restrict dc = AT(w->dc, 0, 1), *restrict delta = AT(w->delta, t, 4);
    FOR_EACH_UNIT
    {
        float i = gates[j], f = gates[H + j], g = gates[2 * H + j], o = gates[3 * H + j];
        float s = tanh_c[j], by_h = dh[j] + k * product[j];
        float by_c = k * dc[j] + by_h * o * (1 - s * s);
        delta[j] = by_c * g * (i * (1 - i));
        delta[H + j] = by_c * c_previous[j] * (f * (1 - f));
        delta[2 * H + j] = by_c * i * (1 - g * g);
        delta[3 * H + j] = by_h * s * (o * (1 - o));
        dc[j] = by_c * f;
    }
}

UNITS(cifg)
{
    const Py_ssize_t H = w->H;
    const float *restrict bias = w->bias + u, k = KEEP(t);
    float *restrict gates = AT(w->gates, t, 3), *restrict c_previous = AT(w->c, t, 1), *restrict c = AT(w->c, t + 1, 1);
    float *restrict tanh_c = AT(w->tanh_c, t, 1), *restrict h = AT(w->h, t + 1, 1);
    FOR_EACH_UNIT
    {
        float f = T_(sigmoid)(ARGUMENT(0)), g = T_(tanh)(ARGUMENT(1)), o = T_(sigmoid)(ARGUMENT(2));
        float before = k * c_previous[j];
        float now = g + f * (before - g);
        float s = T_(tanh)(now);
        gates[j] = f;
        gates[H + j] = g;
        gates[2 * H + j] = o;
        c_previous[j] = before;
        c[j] = now;
        tanh_c[j] = s;
        h[j] = o * s;
    }
}

UNITS(cifg_backward)
{
    const Py_ssize_t H = w->H;
    const float *restrict dh = AT(w->dh, t, 1), *restrict gates = AT(w->gates, t, 3), k = KEEP(t + 1);
    const float *restrict c_previous = AT(w->c, t, 1), *restrict tanh_c = AT(w->tanh_c, t, 1);
    float *restrict dc = AT(w->dc, 0, 1), *restrict delta = AT(w->delta, t, 3);
    FOR_EACH_UNIT
    {
        float f = gates[j], g = gates[H + j], o = gates[2 * H + j];
        float s = tanh_c[j], by_h = dh[j] + k * product[j];
        float by_c = k * dc[j] + by_h * o * (1 - s * s);
        delta[j] = by_c * (c_previous[j] - g) * (f * (1 - f));
        delta[H + j] = by_c * (1 - f) * (1 - g * g);
        delta[2 * H + j] = by_h * s * (o * (1 - o));
        dc[j] = by_c * f;
    }
}

UNITS(gru)
{
    const Py_ssize_t H = w->H;
    const float *restrict bias = w->bias + u, *restrict previous = AT(w->h, t, 1), k = KEEP(t);
    float *restrict gates = AT(w->gates, t, 3), *restrict memory = AT(w->memory, t, 1);
    float *restrict h = AT(w->h, t + 1, 1);
    FOR_EACH_UNIT
    {
        float r = T_(sigmoid)(ARGUMENT(0)), z = T_(sigmoid)(ARGUMENT(1));
        float m = k * product[2 * PANEL + j] + bias[3 * H + j];
        float n_ = T_(tanh)(gates[2 * H + j] + bias[2 * H + j] + r * m);
        gates[j] = r;
        gates[H + j] = z;
        gates[2 * H + j] = n_;
        memory[j] = m;
        h[j] = n_ + z * (k * previous[j] - n_);
    }
}

UNITS(gru_backward)
{
    const Py_ssize_t H = w->H;
    const float *restrict dh = AT(w->dh, t, 1), *restrict gates = AT(w->gates, t, 3), k = KEEP(t), k_next = KEEP(t + 1);
    const float *restrict previous = AT(w->h, t, 1), *restrict memory = AT(w->memory, t, 1);
    float *restrict direct = AT(w->direct, 0, 1), *restrict delta = AT(w->delta, t, 3);
    float *restrict recurrent = AT(w->recurrent, t, 3);
    FOR_EACH_UNIT
    {
        float r = gates[j], z = gates[H + j], n_ = gates[2 * H + j];
        float by_h = dh[j] + k_next * (product[j] + direct[j]);
        float by_n = by_h * (1 - z) * (1 - n_ * n_);
        float by_z = by_h * (k * previous[j] - n_) * (z * (1 - z));
        float by_r = by_n * memory[j] * (r * (1 - r));
        delta[j] = by_r;
        delta[H + j] = by_z;
        delta[2 * H + j] = by_n;
        recurrent[j] = by_r;
        recurrent[H + j] = by_z;
        recurrent[2 * H + j] = by_n * r;
        direct[j] = by_h * z;
    }
}

/* Define a function for several rows. Usual numbers of units are passed as constants, which makes loops shorter. */
#define ROWS_OF(name)                                                                                                  \
    static void T_(name)(const struct window *w, Py_ssize_t t, Py_ssize_t b, int rows, Py_ssize_t u, Py_ssize_t n,     \
                         const float *product)                                                                         \
    {                                                                                                                  \
        for (int r = 0; r < rows; r++, b++, product += TILE_WIDTH)                                                     \
            if (n == PANEL)                                                                                            \
                T_(name##_row)(w, t, b, u, PANEL, product);                                                            \
            else if (n == TILE_WIDTH)                                                                                  \
                T_(name##_row)(w, t, b, u, TILE_WIDTH, product);                                                       \
            else                                                                                                       \
                T_(name##_row)(w, t, b, u, n, product);                                                                \
    }
ROWS_OF(rnn) ROWS_OF(rnn_backward) ROWS_OF(lstm) ROWS_OF(lstm_backward)
ROWS_OF(cifg) ROWS_OF(cifg_backward) ROWS_OF(gru) ROWS_OF(gru_backward)

typedef void T_(units)(const struct window *, Py_ssize_t, Py_ssize_t, int, Py_ssize_t, Py_ssize_t, const float *);
static T_(units) *const T_(forward_units)[] = {T_(rnn), T_(lstm), T_(cifg), T_(gru)};
static T_(units) *const T_(backward_units)[] = {T_(rnn_backward), T_(lstm_backward), T_(cifg_backward),
                                                T_(gru_backward)};

/* --- windows ----------------------------------------------------------------------------------------------------- */

/* All steps of a window, forward. Each step first computes the whole product W h_{t-1}, tile by tile, and then applies
   the cell row by row, so that slabs are read in memory order, for the hardware prefetcher. */
static void T_(forward)(const struct window *w, enum cell cell)
{
    Py_ssize_t H = w->H, B = w->B, G = w->G, units = UNITS_OF_TILE(G), step = STEP_OF_TILES(H, G);
    Py_ssize_t blocks = (B + MOST_ROWS - 1) / MOST_ROWS;
    for (Py_ssize_t t = 0; t < w->T; t++) {
        float *tile = w->tiles;
        for (Py_ssize_t u = 0; u < H; u += units, tile += TILE_WIDTH) {
            Py_ssize_t n = H - u < units ? H - u : units;
            for (Py_ssize_t block = 0; block < blocks; block++) {
                Py_ssize_t b = B * block / blocks;
                int rows = (int)(B * (block + 1) / blocks - b), panels = (int)(G * ((n + PANEL - 1) / PANEL));
                const float *h = w->h + (t * B + b) * H;
                float *out = tile + b * step;
                if (w->packed)
                    T_(product)(rows, panels, H, h, H, w->packed + u * G * H, out, step);
                else
                    for (Py_ssize_t g = 0; g < G; g++)
                        T_(dots)(rows, n, H, h, w->weight + (g * H + u) * H, out + g * PANEL, step);
            }
        }
        tile = w->tiles;
        for (Py_ssize_t b = 0; b < B; b++)
            for (Py_ssize_t u = 0; u < H; u += units, tile += TILE_WIDTH)
                T_(forward_units)[cell](w, t, b, 1, u, H - u < units ? H - u : units, tile);
    }
}

/* All steps of a window, backward. A tile of dE/dh_t, the product of the whole delta_{t+1} with W, is used while it is
   in the cache; the other operands are prefetched meanwhile. Finally, `carried` is overwritten with the gradient of the
   h that entered step 0. */
static void T_(backward)(const struct window *w, enum cell cell)
{
    Py_ssize_t H = w->H, B = w->B, K = w->G * H, blocks = (B + MOST_ROWS - 1) / MOST_ROWS;
    const float *deltas = w->recurrent ? w->recurrent : w->delta;
    float product[MOST_ROWS * TILE_WIDTH];
    for (Py_ssize_t t = w->T - 1; t >= -1; t--)
        for (Py_ssize_t u = 0; u < H; u += TILE_WIDTH) {
            Py_ssize_t n = H - u < TILE_WIDTH ? H - u : TILE_WIDTH;
            for (Py_ssize_t block = 0; block < blocks; block++) {
                Py_ssize_t b = B * block / blocks;
                int rows = (int)(B * (block + 1) / blocks - b), panels = (int)((n + PANEL - 1) / PANEL);
                if (t >= 0)
                    prefetch_backward(w, t, b, rows, u, n);
                if (t == w->T - 1)
                    for (int r = 0; r < rows; r++)
                        memcpy(product + r * TILE_WIDTH, w->carried + (b + r) * H + u, (size_t)n * sizeof(float));
                else
                    T_(product)(rows, panels, K, deltas + ((t + 1) * B + b) * K, K, w->packed + u * K, product,
                                TILE_WIDTH);
                if (t >= 0)
                    T_(backward_units)[cell](w, t, b, rows, u, n, product);
                else
                    for (int r = 0; r < rows; r++)
                        memcpy(w->carried + (b + r) * H + u, product + r * TILE_WIDTH, (size_t)n * sizeof(float));
            }
        }
}

/* --- other sweeps ------------------------------------------------------------------------------------------------ */

/* Like numerics.softmax_error, for one row; returns -log p(target). */
static float T_(softmax_error)(Py_ssize_t V, float *restrict logits, const float *restrict bias, Py_ssize_t target,
                               float scale)
{
    float largest = -INFINITY, total = 0;
    if (bias)
        _Pragma("omp simd") for (Py_ssize_t j = 0; j < V; j++) logits[j] += bias[j];
    _Pragma("omp simd reduction(max : largest)") for (Py_ssize_t j = 0; j < V; j++)
        largest = logits[j] > largest ? logits[j] : largest;
    float of_target = logits[target] - largest;
    _Pragma("omp simd reduction(+ : total)") for (Py_ssize_t j = 0; j < V; j++)
    {
        float e = T_(exponential)(logits[j] - largest);
        logits[j] = e < NEGLIGIBLE ? 0 : e;
        total += logits[j];
    }
    if (scale != 0) {
        float factor = scale / total;
        _Pragma("omp simd") for (Py_ssize_t j = 0; j < V; j++) logits[j] *= factor;
        logits[target] -= scale;
    }
    return logf(total) - of_target;
}

/* Turn a row of logits into log probabilities plus `shift`. */
static void T_(log_softmax)(Py_ssize_t V, float *restrict logits, float shift)
{
    float largest = -INFINITY, total = 0;
    _Pragma("omp simd reduction(max : largest)") for (Py_ssize_t j = 0; j < V; j++)
        largest = logits[j] > largest ? logits[j] : largest;
    _Pragma("omp simd reduction(+ : total)") for (Py_ssize_t j = 0; j < V; j++)
    {
        total += T_(exponential)(logits[j] - largest); /* the difference is computed again below, to write once */
    }
    float log_total = logf(total);
    _Pragma("omp simd") for (Py_ssize_t j = 0; j < V; j++) logits[j] = logits[j] - largest - log_total + shift;
}

/* See optimizers.sgd_update. */
static void T_(sgd)(Py_ssize_t size, float *restrict p, const float *restrict g, float lr)
{
    _Pragma("omp simd") for (Py_ssize_t j = 0; j < size; j++) p[j] -= lr * g[j];
}

/* See optimizers.momentum_update. */
static void T_(momentum)(Py_ssize_t size, float *restrict p, const float *restrict g, float *restrict v, float mu,
                         float lr, int ahead)
{
    float of_g = ahead ? lr : 0, of_v = ahead ? lr * mu : lr;
    _Pragma("omp simd") for (Py_ssize_t j = 0; j < size; j++)
    {
        float velocity = mu * v[j] + g[j];
        v[j] = velocity;
        p[j] -= of_g * g[j] + of_v * velocity;
    }
}

/* See optimizers.adam_update. */
static void T_(adam)(Py_ssize_t size, float *restrict p, const float *restrict g, float *restrict m, float *restrict v,
                     double beta1, double beta2, float rate, float correction, float epsilon, float decay)
{
    float kept1 = (float)beta1, kept2 = (float)beta2, rest1 = (float)(1 - beta1), rest2 = (float)(1 - beta2);
    _Pragma("omp simd") for (Py_ssize_t j = 0; j < size; j++)
    {
        float mean = kept1 * m[j] + rest1 * g[j], square = kept2 * v[j] + rest2 * (g[j] * g[j]);
        m[j] = mean;
        v[j] = square;
        p[j] = decay * p[j] - rate * (mean / (correction * sqrtf(square) + epsilon));
    }
}

/* See gradients.add_rows. */
static void T_(add_rows)(Py_ssize_t N, Py_ssize_t D, const float *restrict rows, const int64_t *restrict places,
                         float *restrict sums)
{
    for (Py_ssize_t row = 0; row < N; row++, rows += D) {
        float *restrict sum = sums + places[row] * D;
        _Pragma("omp simd") for (Py_ssize_t j = 0; j < D; j++) sum[j] += rows[j];
    }
}

/* See baselines.levels.places_of. SEARCHES binary searches run interleaved, so that their cache misses overlap. */
static void T_(places_of)(Py_ssize_t M, const int64_t *restrict keys, Py_ssize_t n, const int64_t *restrict wanted,
                          int64_t *restrict places)
{
    for (Py_ssize_t from = 0; from < n; from += SEARCHES) {
        const int64_t *first[SEARCHES];
        int count = n - from < SEARCHES ? (int)(n - from) : SEARCHES;
        for (int i = 0; i < count; i++)
            first[i] = keys;
        Py_ssize_t left = M;
        for (; left > 1; left -= left / 2)
            for (int i = 0; i < count; i++)
                first[i] += first[i][left / 2 - 1] < wanted[from + i] ? left / 2 : 0;
        for (int i = 0; i < count; i++)
            places[from + i] = left && *first[i] == wanted[from + i] ? first[i] - keys : -1;
    }
}

static const struct target T_(target) = {
    .panels = PANELS, .forward = T_(forward), .backward = T_(backward), .softmax_error = T_(softmax_error),
    .log_softmax = T_(log_softmax), .add_rows = T_(add_rows), .places_of = T_(places_of),
    .sgd = T_(sgd), .momentum = T_(momentum), .adam = T_(adam),
};

#undef UNITS
#undef AT
#undef KEEP
#undef ARGUMENT
#undef FOR_EACH_UNIT
#undef ROWS_OF
#undef VECTORS
#undef TARGET
#undef WIDTH
#undef PANELS
