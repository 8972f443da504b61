/* Fused elementwise work: the compiled twins, for float32, of functions in nn/cells, numerics.py and optimizers.py.

   Those say what the arrays are and stay the reference; tests/nn/test_kernels.py compares the two. A step of a cell in
   NumPy is a dozen calls, each of which sweeps over its arrays; here it is one loop, which reads and writes every number
   once. Nothing is allocated, and Python's lock is released while a loop runs. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* The loops are compiled for several processors, and the best version for this one is taken when the module is loaded.
   Elsewhere they are compiled for what the compiler takes for the least machine. */
#if defined(__GNUC__) && __GNUC__ >= 12 && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VECTORISED
#endif

#if defined(_MSC_VER)
#define restrict __restrict
#endif

/* --- functions of one number ------------------------------------------------------------------------------------- */

static inline float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* For |x| < 88, e^x = 2^n e^r with n = round(x / ln 2), so that |r| < 0.35. Returns e^r - 1, by its series, of which the
   first term that is left out is below 6e-9 of it; *power becomes 2^n. NaN stays NaN. */
static inline float reduced(float x, float *power)
{
    const float round = 12582912.0f; /* 1.5 * 2^23: what is added to it is rounded to an integer */
    float shifted = x * 1.44269504f + round;
    float n = shifted - round;
    float r = x - n * 0.693359375f + n * 2.12194440e-4f; /* ln 2 in two parts, the first of which has few bits */
    float series = 1.0f / 5040;
    series = series * r + 1.0f / 720;
    series = series * r + 1.0f / 120;
    series = series * r + 1.0f / 24;
    series = series * r + 1.0f / 6;
    series = series * r + 0.5f;
    series = series * r + 1.0f;
    *power = from_bits((to_bits(shifted) + 127) << 23);
    return series * r;
}

/* The comparisons are written so that NaN passes. */
static inline float limited(float x, float least, float most)
{
    x = x < least ? least : x;
    return x > most ? most : x;
}

/* Between these limits neither e^x nor its reciprocal leaves the normal numbers. */
static inline float exponential(float x)
{
    float power, less_one = reduced(limited(x, -87.0f, 88.0f), &power);
    return power * (less_one + 1.0f);
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

/* tanh(x) = (e^2x - 1) / (e^2x + 1); beyond 10 it is 1 in single precision. e^2x - 1 is made without the cancellation
   of e^2x with 1, so that small results are as exact as large ones. */
static inline float hyperbolic_tangent(float x)
{
    float power, less_one = reduced(2.0f * limited(x, -10.0f, 10.0f), &power);
    float e = power * less_one + (power - 1.0f);
    return e / (e + 2.0f);
}

/* --- loops over a batch ------------------------------------------------------------------------------------------ */

/* Arguments are those of nn/cells; `keep` holds one number for each row, or is NULL. */

#define LARGEST_STATE 1e12f /* as in numerics.py */

enum activation { TANH, SIGMOID, RELU, IDENTITY, UNKNOWN };
static const char *const ACTIVATIONS[] = {"tanh", "sigmoid", "relu", "identity"};

#define FOR_EACH_ROW for (Py_ssize_t b = 0; b < B; b++)
#define FOR_EACH_UNIT _Pragma("omp simd") for (Py_ssize_t j = 0; j < H; j++)

#define ARGUMENT(j) (gates[j] + k * product[j] + bias[j])

VECTORISED static void rnn_row(enum activation f, Py_ssize_t H, float k, const float *restrict gates,
                               const float *restrict product, const float *restrict bias, float *restrict h)
{
    if (f == TANH)
        FOR_EACH_UNIT h[j] = hyperbolic_tangent(ARGUMENT(j));
    else if (f == SIGMOID)
        FOR_EACH_UNIT h[j] = sigmoid(ARGUMENT(j));
    else if (f == RELU)
        FOR_EACH_UNIT h[j] = limited(ARGUMENT(j), 0, LARGEST_STATE);
    else
        FOR_EACH_UNIT h[j] = limited(ARGUMENT(j), -LARGEST_STATE, LARGEST_STATE);
}

VECTORISED static void rnn_row_backward(enum activation f, Py_ssize_t H, float k, const float *restrict dh,
                                        const float *restrict carried, const float *restrict h, float *restrict delta)
{
    if (f == TANH)
        FOR_EACH_UNIT delta[j] = (dh[j] + k * carried[j]) * (1 - h[j] * h[j]);
    else if (f == SIGMOID)
        FOR_EACH_UNIT delta[j] = (dh[j] + k * carried[j]) * (h[j] * (1 - h[j]));
    else if (f == RELU)
        FOR_EACH_UNIT delta[j] = h[j] > 0 ? dh[j] + k * carried[j] : 0;
    else
        FOR_EACH_UNIT delta[j] = dh[j] + k * carried[j];
}

VECTORISED static void lstm_row(Py_ssize_t H, float k, float *restrict gates, const float *restrict product,
                                const float *restrict bias, float *restrict c_previous, float *restrict c,
                                float *restrict squashed, float *restrict h)
{
    FOR_EACH_UNIT
    {
        float i = sigmoid(ARGUMENT(j)), f = sigmoid(ARGUMENT(H + j));
        float g = hyperbolic_tangent(ARGUMENT(2 * H + j)), o = sigmoid(ARGUMENT(3 * H + j));
        float before = k * c_previous[j];
        float now = f * before + i * g;
        float s = hyperbolic_tangent(now);
        gates[j] = i;
        gates[H + j] = f;
        gates[2 * H + j] = g;
        gates[3 * H + j] = o;
        c_previous[j] = before;
        c[j] = now;
        squashed[j] = s;
        h[j] = o * s;
    }
}

VECTORISED static void lstm_row_backward(Py_ssize_t H, float k, const float *restrict dh,
                                         const float *restrict carried, const float *restrict gates,
                                         const float *restrict c_previous, const float *restrict squashed,
                                         float *restrict dc, float *restrict delta)
{
    FOR_EACH_UNIT
    {
        float i = gates[j], f = gates[H + j], g = gates[2 * H + j], o = gates[3 * H + j];
        float s = squashed[j], by_h = dh[j] + k * carried[j];
        float by_c = k * dc[j] + by_h * o * (1 - s * s);
        delta[j] = by_c * g * (i * (1 - i));
        delta[H + j] = by_c * c_previous[j] * (f * (1 - f));
        delta[2 * H + j] = by_c * i * (1 - g * g);
        delta[3 * H + j] = by_h * s * (o * (1 - o));
        dc[j] = by_c * f;
    }
}

VECTORISED static void cifg_row(Py_ssize_t H, float k, float *restrict gates, const float *restrict product,
                                const float *restrict bias, float *restrict c_previous, float *restrict c,
                                float *restrict squashed, float *restrict h)
{
    FOR_EACH_UNIT
    {
        float f = sigmoid(ARGUMENT(j)), g = hyperbolic_tangent(ARGUMENT(H + j)), o = sigmoid(ARGUMENT(2 * H + j));
        float before = k * c_previous[j];
        float now = g + f * (before - g);
        float s = hyperbolic_tangent(now);
        gates[j] = f;
        gates[H + j] = g;
        gates[2 * H + j] = o;
        c_previous[j] = before;
        c[j] = now;
        squashed[j] = s;
        h[j] = o * s;
    }
}

VECTORISED static void cifg_row_backward(Py_ssize_t H, float k, const float *restrict dh,
                                         const float *restrict carried, const float *restrict gates,
                                         const float *restrict c_previous, const float *restrict squashed,
                                         float *restrict dc, float *restrict delta)
{
    FOR_EACH_UNIT
    {
        float f = gates[j], g = gates[H + j], o = gates[2 * H + j];
        float s = squashed[j], by_h = dh[j] + k * carried[j];
        float by_c = k * dc[j] + by_h * o * (1 - s * s);
        delta[j] = by_c * (c_previous[j] - g) * (f * (1 - f));
        delta[H + j] = by_c * (1 - f) * (1 - g * g);
        delta[2 * H + j] = by_h * s * (o * (1 - o));
        dc[j] = by_c * f;
    }
}

VECTORISED static void gru_row(Py_ssize_t H, float k, float *restrict gates, const float *restrict product,
                               const float *restrict bias, const float *restrict previous, float *restrict memory,
                               float *restrict h)
{
    FOR_EACH_UNIT
    {
        float r = sigmoid(ARGUMENT(j)), z = sigmoid(ARGUMENT(H + j));
        float m = k * product[2 * H + j] + bias[3 * H + j];
        float n = hyperbolic_tangent(gates[2 * H + j] + bias[2 * H + j] + r * m);
        gates[j] = r;
        gates[H + j] = z;
        gates[2 * H + j] = n;
        memory[j] = m;
        h[j] = n + z * (k * previous[j] - n);
    }
}

VECTORISED static void gru_row_backward(Py_ssize_t H, float k, float k_next, const float *restrict dh,
                                        const float *restrict carried, const float *restrict gates,
                                        const float *restrict previous, const float *restrict memory,
                                        float *restrict direct, float *restrict delta, float *restrict recurrent)
{
    FOR_EACH_UNIT
    {
        float r = gates[j], z = gates[H + j], n = gates[2 * H + j];
        float by_h = dh[j] + k_next * (carried[j] + direct[j]);
        float by_n = by_h * (1 - z) * (1 - n * n);
        float by_z = by_h * (k * previous[j] - n) * (z * (1 - z));
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

/* Arguments are those of numerics.exponentials. */
VECTORISED static float exponentials_row(Py_ssize_t V, float *restrict logits, const float *restrict bias,
                                         Py_ssize_t target, float *restrict of_target)
{
    float largest = -INFINITY, total = 0;
    if (bias)
        _Pragma("omp simd") for (Py_ssize_t j = 0; j < V; j++) logits[j] += bias[j];
    _Pragma("omp simd reduction(max : largest)") for (Py_ssize_t j = 0; j < V; j++)
        largest = logits[j] > largest ? logits[j] : largest;
    *of_target = logits[target] - largest;
    _Pragma("omp simd reduction(+ : total)") for (Py_ssize_t j = 0; j < V; j++)
    {
        float x = logits[j] - largest;
        float e = exponential(x < -80.0f ? -80.0f : x);
        logits[j] = e;
        total += e;
    }
    return total;
}

/* Arguments are those of optimizers.adam_update. */
VECTORISED static void adam_piece(Py_ssize_t size, float *restrict p, const float *restrict g, float *restrict m,
                                  float *restrict v, double beta1, double beta2, float rate, float correction,
                                  float epsilon, float decay)
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

/* --- arguments from Python --------------------------------------------------------------------------------------- */

#define MOST_ARRAYS 10

/* The arrays of a call and their common sizes. */
struct call {
    Py_buffer views[MOST_ARRAYS];
    int count;
    Py_ssize_t t, T, B, H;
};

static void release(struct call *call)
{
    while (call->count)
        PyBuffer_Release(&call->views[--call->count]);
}

/* Whether the items of a view have one of the types (as the module struct names them), their size and their alignment:
   a view into the middle of a number, or integers of the size of a float, would be read as other numbers. */
static int holds(const Py_buffer *view, const char *types, Py_ssize_t size)
{
    const char *type = view->format ? view->format : "B";
    if (*type == (PY_LITTLE_ENDIAN ? '<' : '>')) /* the order of bytes of this machine, named, as in a file's arrays */
        type++;
    return view->itemsize == size && type[0] && !type[1] && strchr(types, type[0]) &&
           (uintptr_t)view->buf % (size_t)size == 0;
}

/* The numbers of an array of so many float32, from the given one on; NULL, with an error set, if it is another one. */
static float *numbers(struct call *call, PyObject *array, Py_ssize_t size, Py_ssize_t from)
{
    Py_buffer *view = &call->views[call->count];
    if (PyObject_GetBuffer(array, view, PyBUF_CONTIG | PyBUF_FORMAT) < 0)
        return NULL;
    call->count++;
    if (!holds(view, "f", sizeof(float)) || view->len != size * (Py_ssize_t)sizeof(float)) {
        PyErr_Format(PyExc_ValueError, "expected an aligned array of %zd float32, found %zd bytes of type %s", size,
                     view->len, view->format);
        return NULL;
    }
    return (float *)view->buf + from;
}

/* Start a call: the step t is its first argument, T, B and H are those of the argument `slab`, an array (T, B, H). */
static int begin(struct call *call, PyObject *const *arguments, Py_ssize_t found, Py_ssize_t expected, int slab)
{
    Py_buffer view;
    if (found != expected) {
        PyErr_Format(PyExc_TypeError, "expected %zd arguments, found %zd", expected, found);
        return -1;
    }
    if (PyObject_GetBuffer(arguments[slab], &view, PyBUF_CONTIG) < 0)
        return -1;
    int rows = view.ndim == 3;
    if (rows) {
        call->T = view.shape[0];
        call->B = view.shape[1];
        call->H = view.shape[2];
    }
    PyBuffer_Release(&view);
    call->t = PyLong_AsSsize_t(arguments[0]);
    if (PyErr_Occurred())
        return -1;
    if (!rows || call->t < 0 || call->t >= call->T) {
        PyErr_SetString(PyExc_ValueError, "expected an array of three dimensions and a step within its first one");
        return -1;
    }
    return 0;
}

/* The array `keep` (T, B, 1), which may be None; *row becomes its row t, or NULL where there is none. */
static int keep_rows(struct call *call, PyObject *keep, Py_ssize_t t, const float **row)
{
    *row = NULL;
    if (keep == Py_None || t >= call->T)
        return 0;
    return (*row = numbers(call, keep, call->T * call->B, t * call->B)) ? 0 : -1;
}

static enum activation activation_of(PyObject *name)
{
    for (int i = 0; i < UNKNOWN; i++)
        if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, ACTIVATIONS[i]) == 0)
            return (enum activation)i;
    PyErr_Format(PyExc_ValueError, "%R is no activation that is compiled", name);
    return UNKNOWN;
}

#define TAKE(name, argument, size, from)                                                                               \
    float *name = numbers(&call, argument, size, from);                                                                \
    if (!name)                                                                                                         \
    goto failed
#define TAKE_KEEP(name, argument, step)                                                                                \
    const float *name;                                                                                                 \
    if (keep_rows(&call, argument, step, &name) < 0)                                                                   \
    goto failed
#define KEPT(keep) (keep ? keep[b] : 1.0f)
#define DONE                                                                                                           \
    release(&call);                                                                                                    \
    Py_RETURN_NONE;                                                                                                    \
    failed:                                                                                                            \
    release(&call);                                                                                                    \
    return NULL

/* rnn_step(t, activation, gates, product, keep, bias, h) */
static PyObject *rnn_step(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    if (begin(&call, a, found, 7, 2) < 0)
        return NULL;
    Py_ssize_t t = call.t, T = call.T, B = call.B, H = call.H;
    enum activation f = activation_of(a[1]);
    if (f == UNKNOWN)
        return NULL;
    TAKE(gates, a[2], T * B * H, t * B * H);
    TAKE(product, a[3], B * H, 0);
    TAKE_KEEP(keep, a[4], t);
    TAKE(bias, a[5], H, 0);
    TAKE(h, a[6], (T + 1) * B * H, (t + 1) * B * H);
    Py_BEGIN_ALLOW_THREADS;
    FOR_EACH_ROW rnn_row(f, H, KEPT(keep), gates + b * H, product + b * H, bias, h + b * H);
    Py_END_ALLOW_THREADS;
    DONE;
}

/* rnn_step_backward(t, activation, dh, carried, keep, h, delta) */
static PyObject *rnn_step_backward(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    if (begin(&call, a, found, 7, 2) < 0)
        return NULL;
    Py_ssize_t t = call.t, T = call.T, B = call.B, H = call.H;
    enum activation f = activation_of(a[1]);
    if (f == UNKNOWN)
        return NULL;
    TAKE(dh, a[2], T * B * H, t * B * H);
    TAKE(carried, a[3], B * H, 0);
    TAKE_KEEP(keep, a[4], t + 1);
    TAKE(h, a[5], (T + 1) * B * H, (t + 1) * B * H);
    TAKE(delta, a[6], T * B * H, t * B * H);
    Py_BEGIN_ALLOW_THREADS;
    FOR_EACH_ROW rnn_row_backward(f, H, KEPT(keep), dh + b * H, carried + b * H, h + b * H, delta + b * H);
    Py_END_ALLOW_THREADS;
    DONE;
}

/* Of the cells with h and c, whose numbers of gates differ: step(t, gates, product, keep, bias, h, c, squashed) */
typedef void memory_row(Py_ssize_t, float, float *, const float *, const float *, float *, float *, float *, float *);

static PyObject *memory_step(memory_row row, Py_ssize_t G, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    if (begin(&call, a, found, 8, 7) < 0)
        return NULL;
    Py_ssize_t t = call.t, T = call.T, B = call.B, H = call.H;
    TAKE(gates, a[1], T * B * G * H, t * B * G * H);
    TAKE(product, a[2], B * G * H, 0);
    TAKE_KEEP(keep, a[3], t);
    TAKE(bias, a[4], G * H, 0);
    TAKE(h, a[5], (T + 1) * B * H, (t + 1) * B * H);
    TAKE(c, a[6], (T + 1) * B * H, (t + 1) * B * H);
    TAKE(squashed, a[7], T * B * H, t * B * H);
    Py_BEGIN_ALLOW_THREADS;
    FOR_EACH_ROW row(H, KEPT(keep), gates + b * G * H, product + b * G * H, bias, c - B * H + b * H, c + b * H,
                     squashed + b * H, h + b * H);
    Py_END_ALLOW_THREADS;
    DONE;
}

static PyObject *lstm_step(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    return memory_step(lstm_row, 4, a, found);
}

static PyObject *cifg_step(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    return memory_step(cifg_row, 3, a, found);
}

/* step_backward(t, dh, carried, keep, gates, c, squashed, dc, delta) */
typedef void memory_row_backward(Py_ssize_t, float, const float *, const float *, const float *, const float *,
                                 const float *, float *, float *);

static PyObject *memory_step_backward(memory_row_backward row, Py_ssize_t G, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    if (begin(&call, a, found, 9, 1) < 0)
        return NULL;
    Py_ssize_t t = call.t, T = call.T, B = call.B, H = call.H;
    TAKE(dh, a[1], T * B * H, t * B * H);
    TAKE(carried, a[2], B * H, 0);
    TAKE_KEEP(keep, a[3], t + 1);
    TAKE(gates, a[4], T * B * G * H, t * B * G * H);
    TAKE(c_previous, a[5], (T + 1) * B * H, t * B * H);
    TAKE(squashed, a[6], T * B * H, t * B * H);
    TAKE(dc, a[7], B * H, 0);
    TAKE(delta, a[8], T * B * G * H, t * B * G * H);
    Py_BEGIN_ALLOW_THREADS;
    FOR_EACH_ROW row(H, KEPT(keep), dh + b * H, carried + b * H, gates + b * G * H, c_previous + b * H,
                     squashed + b * H, dc + b * H, delta + b * G * H);
    Py_END_ALLOW_THREADS;
    DONE;
}

static PyObject *lstm_step_backward(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    return memory_step_backward(lstm_row_backward, 4, a, found);
}

static PyObject *cifg_step_backward(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    return memory_step_backward(cifg_row_backward, 3, a, found);
}

/* gru_step(t, gates, product, keep, bias, h, memory) */
static PyObject *gru_step(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    if (begin(&call, a, found, 7, 6) < 0)
        return NULL;
    Py_ssize_t t = call.t, T = call.T, B = call.B, H = call.H;
    TAKE(gates, a[1], T * B * 3 * H, t * B * 3 * H);
    TAKE(product, a[2], B * 3 * H, 0);
    TAKE_KEEP(keep, a[3], t);
    TAKE(bias, a[4], 4 * H, 0);
    TAKE(h, a[5], (T + 1) * B * H, (t + 1) * B * H);
    TAKE(memory, a[6], T * B * H, t * B * H);
    Py_BEGIN_ALLOW_THREADS;
    FOR_EACH_ROW gru_row(H, KEPT(keep), gates + b * 3 * H, product + b * 3 * H, bias, h - B * H + b * H, memory + b * H,
                         h + b * H);
    Py_END_ALLOW_THREADS;
    DONE;
}

/* gru_step_backward(t, dh, carried, keep, gates, h, memory, direct, delta, recurrent) */
static PyObject *gru_step_backward(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    if (begin(&call, a, found, 10, 1) < 0)
        return NULL;
    Py_ssize_t t = call.t, T = call.T, B = call.B, H = call.H;
    TAKE(dh, a[1], T * B * H, t * B * H);
    TAKE(carried, a[2], B * H, 0);
    TAKE_KEEP(keep, a[3], t);
    TAKE_KEEP(keep_next, a[3], t + 1);
    TAKE(gates, a[4], T * B * 3 * H, t * B * 3 * H);
    TAKE(previous, a[5], (T + 1) * B * H, t * B * H);
    TAKE(memory, a[6], T * B * H, t * B * H);
    TAKE(direct, a[7], B * H, 0);
    TAKE(delta, a[8], T * B * 3 * H, t * B * 3 * H);
    TAKE(recurrent, a[9], T * B * 3 * H, t * B * 3 * H);
    Py_BEGIN_ALLOW_THREADS;
    FOR_EACH_ROW gru_row_backward(H, KEPT(keep), KEPT(keep_next), dh + b * H, carried + b * H, gates + b * 3 * H,
                                  previous + b * H, memory + b * H, direct + b * H, delta + b * 3 * H,
                                  recurrent + b * 3 * H);
    Py_END_ALLOW_THREADS;
    DONE;
}

/* exponentials(logits, bias, targets, totals, of_targets) */
static PyObject *exponentials(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    Py_buffer *view = call.views;
    Py_ssize_t n, V;
    if (found != 5) {
        PyErr_Format(PyExc_TypeError, "expected 5 arguments, found %zd", found);
        return NULL;
    }
    if (PyObject_GetBuffer(a[0], view, PyBUF_CONTIG | PyBUF_FORMAT) < 0)
        return NULL;
    call.count = 1;
    if (view->ndim != 2 || !holds(view, "f", sizeof(float))) {
        PyErr_SetString(PyExc_ValueError, "expected logits (n, V) of float32");
        goto failed;
    }
    n = view->shape[0], V = view->shape[1];
    float *logits = view->buf, *bias = NULL;
    if (a[1] != Py_None && !(bias = numbers(&call, a[1], V, 0)))
        goto failed;
    TAKE(totals, a[3], n, 0);
    TAKE(of_targets, a[4], n, 0);
    view = &call.views[call.count];
    if (PyObject_GetBuffer(a[2], view, PyBUF_CONTIG_RO | PyBUF_FORMAT) < 0)
        goto failed;
    call.count++;
    const int64_t *targets = view->buf;
    int possible = holds(view, "lq", sizeof(int64_t)) && view->len == n * (Py_ssize_t)sizeof(int64_t);
    for (Py_ssize_t row = 0; possible && row < n; row++)
        possible = targets[row] >= 0 && targets[row] < V;
    if (!possible) {
        PyErr_SetString(PyExc_ValueError, "expected a target in int64 for each row, each below V");
        goto failed;
    }
    Py_BEGIN_ALLOW_THREADS;
    for (Py_ssize_t row = 0; row < n; row++)
        totals[row] = exponentials_row(V, logits + row * V, bias, (Py_ssize_t)targets[row], of_targets + row);
    Py_END_ALLOW_THREADS;
    DONE;
}

/* adam_update(p, g, m, v, scratch, beta1, beta2, rate, correction, epsilon, decay) */
static PyObject *adam_update(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    double settings[6];
    if (found != 11) {
        PyErr_Format(PyExc_TypeError, "expected 11 arguments, found %zd", found);
        return NULL;
    }
    for (int i = 0; i < 6; i++)
        settings[i] = PyFloat_AsDouble(a[5 + i]);
    if (PyErr_Occurred())
        return NULL;
    Py_ssize_t size = PyObject_Length(a[0]);
    if (size < 0)
        return NULL;
    TAKE(p, a[0], size, 0);
    TAKE(g, a[1], size, 0);
    TAKE(m, a[2], size, 0);
    TAKE(v, a[3], size, 0);
    Py_BEGIN_ALLOW_THREADS;
    adam_piece(size, p, g, m, v, settings[0], settings[1], (float)settings[2], (float)settings[3], (float)settings[4],
               (float)settings[5]);
    Py_END_ALLOW_THREADS;
    DONE;
}

/* --- module ------------------------------------------------------------------------------------------------------ */

#define METHOD(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, "See the function of this name in rnnlm.nn."}

static PyMethodDef methods[] = {
    METHOD(rnn_step), METHOD(rnn_step_backward), METHOD(lstm_step), METHOD(lstm_step_backward),
    METHOD(cifg_step), METHOD(cifg_step_backward),
    METHOD(gru_step), METHOD(gru_step_backward), METHOD(exponentials), METHOD(adam_update), {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_kernels", .m_doc = "Compiled twins of functions in rnnlm.nn.", .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModuleDef_Init(&definition); }
