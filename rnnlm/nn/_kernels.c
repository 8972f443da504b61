/* Compiled twins, for float32, of the functions in _kernels.pyi.

   The NumPy functions document the arguments and are the reference; tests/nn/test_kernels.py compares the two. The twin
   of a cell runs all steps of a window, for which W is packed once. Loops run without Python's global lock.

   The loops are in _kernels_loops.h, compiled for several targets; `choose` selects one. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifndef __GNUC__
#error "needs GCC or Clang, for their vectors; without this module NumPy does the work"
#endif
#define INLINE static inline __attribute__((always_inline))

#define LARGEST_STATE 1e12f /* as in numerics.py */

/* A matrix (K, N) is packed into panels of PANEL columns, (K, PANEL) each, the last one padded with zeros. A tile of a
   product has up to MOST_ROWS rows and TILE_WIDTH columns. */
#define PANEL 16
#define TILE_WIDTH (4 * PANEL)
#define MOST_ROWS 6
#define UNITS_OF_TILE(G) ((G) > 1 ? PANEL : TILE_WIDTH) /* units per tile, each with all G gates */
#define STEP_OF_TILES(H, G) (((H) + UNITS_OF_TILE(G) - 1) / UNITS_OF_TILE(G) * TILE_WIDTH) /* columns of all tiles */
#define ALIGNMENT 64
#define SEARCHES 32
#define NEGLIGIBLE 1e-22f /* see numerics.NEGLIGIBLE */
#define FEWEST_ROWS 8 /* with fewer rows in all steps together, packing does not pay */

enum cell { RNN, LSTM, CIFG, GRU };
enum activation { TANH, SIGMOID, RELU, IDENTITY, UNKNOWN };
static const char *const ACTIVATIONS[] = {"tanh", "sigmoid", "relu", "identity"};

/* Arguments of the steps of a cell, named as in nn/cells. Those that a cell does not have are NULL; so are `keep` if
   there is no reset and `packed` if W is used unpacked. `tiles` holds the product of a step. */
struct window {
    Py_ssize_t T, B, G, H;
    enum activation activation;
    const float *weight, *packed, *keep, *bias, *dh;
    float *gates, *h, *c, *tanh_c, *memory, *carried, *dc, *direct, *delta, *recurrent, *tiles;
};

struct target {
    Py_ssize_t panels; /* number of panels in a tile */
    void (*forward)(const struct window *, enum cell), (*backward)(const struct window *, enum cell);
    float (*softmax_error)(Py_ssize_t, float *, const float *, Py_ssize_t, float);
    void (*add_rows)(Py_ssize_t, Py_ssize_t, const float *, const int64_t *, float *);
    void (*log_softmax)(Py_ssize_t, float *, float);
    void (*places_of)(Py_ssize_t, const int64_t *, Py_ssize_t, const int64_t *, int64_t *);
    void (*sgd)(Py_ssize_t, float *, const float *, float);
    void (*momentum)(Py_ssize_t, float *, const float *, float *, float, float, int);
    void (*adam)(Py_ssize_t, float *, const float *, float *, float *, double, double, float, float, float, float);
};

/* Prefetch n floats from column j on, in `rows` rows from row b of step t on, of a slab (T, B, width) or NULL. */
INLINE void prefetch(const struct window *w, const float *slab, Py_ssize_t width, Py_ssize_t t, Py_ssize_t b, int rows,
                     Py_ssize_t j, Py_ssize_t n)
{
    if (slab)
        for (const float *row = slab + (t * w->B + b) * width + j; rows--; row += width)
            for (Py_ssize_t i = 0; i < n; i += ALIGNMENT / (Py_ssize_t)sizeof(float))
                __builtin_prefetch(row + i);
}

/* Prefetch what the backward step of n units from u on reads or writes. */
static void prefetch_backward(const struct window *w, Py_ssize_t t, Py_ssize_t b, int rows, Py_ssize_t u, Py_ssize_t n)
{
    const float *of_gates[] = {w->gates, w->delta, w->recurrent}, *of_states[] = {w->dh, w->c, w->tanh_c, w->memory};
    for (int i = 0; i < 3; i++)
        for (Py_ssize_t g = 0; g < w->G; g++)
            prefetch(w, of_gates[i], w->G * w->H, t, b, rows, g * w->H + u, n);
    for (int i = 0; i < 4; i++)
        prefetch(w, of_states[i], w->H, t, b, rows, u, n);
    prefetch(w, w->h, w->H, w->memory ? t : t + 1, b, rows, u, n);
}

/* --- targets ----------------------------------------------------------------------------------------------------- */

#define PASTED(name, target) name##_##target
#define OF_TARGET(name, target) PASTED(name, target)
#define T_(name) OF_TARGET(name, TARGET)

#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))),             \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
#define TARGET avx512
#define WIDTH 16
#define PANELS 4
#include "_kernels_loops.h"

#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define TARGET avx2
#define WIDTH 8
#define PANELS 1
#include "_kernels_loops.h"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

#define TARGET portable
#define WIDTH 4
#define PANELS 1
#include "_kernels_loops.h"

static const struct target *chosen = &target_portable;

/* Return the target of this name; NULL if it is unknown or not supported by this processor. */
static const struct target *target_of(const char *name)
{
#ifdef __x86_64__
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && strcmp(name, "avx2") == 0)
        return &target_avx2;
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && strcmp(name, "avx512") == 0)
        return &target_avx512;
#endif
    return strcmp(name, "portable") == 0 ? &target_portable : NULL;
}

/* --- arguments from Python --------------------------------------------------------------------------------------- */

#define MOST_ARRAYS 10

/* Buffers of the arrays of a call, and its temporary memory. */
struct call {
    Py_buffer views[MOST_ARRAYS];
    int count;
    void *memory;
};

/* Release buffers and memory; return None if done, else NULL, for an error that is set. */
static PyObject *end(struct call *call, int done)
{
    while (call->count)
        PyBuffer_Release(&call->views[--call->count]);
    PyMem_RawFree(call->memory);
    if (!done)
        return NULL;
    Py_RETURN_NONE;
}

/* Return whether the items of a view have one of the types (format characters of the module struct), the size, and the
   alignment of that size. */
static int holds(const Py_buffer *view, const char *types, Py_ssize_t size)
{
    const char *type = view->format ? view->format : "B";
    if (*type == (PY_LITTLE_ENDIAN ? '<' : '>')) /* explicit native byte order, as in arrays from files */
        type++;
    return view->itemsize == size && type[0] && !type[1] && strchr(types, type[0]) &&
           (uintptr_t)view->buf % (size_t)size == 0;
}

enum kind { FLOAT32, INT64 };

/* Return the data of an array of `size` items of a kind; NULL, with an error set, if it is not such an array. */
static void *numbers(struct call *call, PyObject *array, Py_ssize_t size, int flags, enum kind kind)
{
    Py_buffer *view = &call->views[call->count];
    if (PyObject_GetBuffer(array, view, flags | PyBUF_FORMAT) < 0)
        return NULL;
    call->count++;
    Py_ssize_t bytes = kind == INT64 ? sizeof(int64_t) : sizeof(float);
    if (holds(view, kind == INT64 ? "lq" : "f", bytes) && view->len == size * bytes)
        return view->buf;
    PyErr_Format(PyExc_ValueError, "expected an aligned array of %zd %s, found %zd bytes of type %s", size,
                 kind == INT64 ? "int64" : "float32", view->len, view->format);
    return NULL;
}

/* Set a field to the data of an array to be read or written; true if that fails, with an error set. */
#define READ(array, size, field) (!((field) = numbers(&call, array, size, PyBUF_CONTIG_RO, FLOAT32)))
#define WRITTEN(array, size, field) (!((field) = numbers(&call, array, size, PyBUF_CONTIG, FLOAT32)))
#define READ_OR_NONE(array, size, field) (array != Py_None && READ(array, size, field))

/* Return the view of a float32 array (n, V) with contiguous rows; NULL, with an error set, if it is another array. */
static const Py_buffer *rows_of(struct call *call, PyObject *array, int flags)
{
    Py_buffer *view = &call->views[call->count];
    if (PyObject_GetBuffer(array, view, flags | PyBUF_FORMAT) < 0)
        return NULL;
    call->count++;
    if (view->ndim == 2 && holds(view, "f", sizeof(float)) &&
        (view->shape[1] <= 1 || !view->strides || view->strides[1] == sizeof(float)))
        return view;
    PyErr_SetString(PyExc_ValueError, "expected an array of two dimensions of float32, row by row");
    return NULL;
}

static int counted(Py_ssize_t found, Py_ssize_t expected)
{
    if (found == expected)
        return 0;
    PyErr_Format(PyExc_TypeError, "expected %zd arguments, found %zd", expected, found);
    return -1;
}

/* Set T, B, G and H from an array (T, B, G H); return -1, with an error set, if it has another shape. */
static int sizes_of(PyObject *slab, Py_ssize_t G, struct window *w)
{
    Py_buffer view;
    if (PyObject_GetBuffer(slab, &view, PyBUF_CONTIG_RO) < 0)
        return -1;
    int fits = view.ndim == 3 && view.shape[2] % G == 0;
    if (fits)
        w->T = view.shape[0], w->B = view.shape[1], w->G = G, w->H = view.shape[2] / G;
    PyBuffer_Release(&view);
    if (fits)
        return 0;
    PyErr_Format(PyExc_ValueError, "expected an array of three dimensions, the last one a multiple of %zd", G);
    return -1;
}

static int activation_of(PyObject *name, struct window *w)
{
    for (w->activation = 0; w->activation < UNKNOWN; w->activation++)
        if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, ACTIVATIONS[w->activation]) == 0)
            return 0;
    PyErr_Format(PyExc_ValueError, "%R is no activation that is compiled", name);
    return -1;
}

/* --- windows ----------------------------------------------------------------------------------------------------- */

typedef float four __attribute__((vector_size(16), aligned(4)));

#if defined(__has_builtin) && __has_builtin(__builtin_shufflevector)
#define SHUFFLED(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int32_t four_places __attribute__((vector_size(16)));
#define SHUFFLED(a, b, i, j, k, l) __builtin_shuffle(a, b, (four_places){i, j, k, l})
#endif

/* Transpose a 4 x 4 square. */
INLINE void transpose_square(float *to, Py_ssize_t step, const float *from, Py_ssize_t width)
{
    four a = *(const four *)from, b = *(const four *)(from + width);
    four c = *(const four *)(from + 2 * width), d = *(const four *)(from + 3 * width);
    four ab = SHUFFLED(a, b, 0, 4, 1, 5), cd = SHUFFLED(c, d, 0, 4, 1, 5);
    *(four *)to = SHUFFLED(ab, cd, 0, 1, 4, 5);
    *(four *)(to + step) = SHUFFLED(ab, cd, 2, 3, 6, 7);
    ab = SHUFFLED(a, b, 2, 6, 3, 7), cd = SHUFFLED(c, d, 2, 6, 3, 7);
    *(four *)(to + 2 * step) = SHUFFLED(ab, cd, 0, 1, 4, 5);
    *(four *)(to + 3 * step) = SHUFFLED(ab, cd, 2, 3, 6, 7);
}

/* Copy n columns of a matrix (K, n), or of the transpose of a matrix (n, K) if `transposed`, into a panel. Rows of the
   panel are `step` floats apart, rows of the matrix `width` floats. */
static void fill(float *to, Py_ssize_t step, const float *from, Py_ssize_t width, Py_ssize_t K, Py_ssize_t n,
                 int transposed)
{
    Py_ssize_t k = 0;
    if (transposed && n == PANEL)
        for (; k + 4 <= K; k += 4)
            for (int j = 0; j < PANEL; j += 4)
                transpose_square(to + k * step + j, step, from + j * width + k, width);
    for (; k < K; k++) {
        if (transposed)
            for (Py_ssize_t j = 0; j < n; j++)
                to[k * step + j] = from[j * width + k];
        else
            memcpy(to + k * step, from + k * width, (size_t)n * sizeof(float));
        if (n < PANEL)
            memset(to + k * step + n, 0, (size_t)(PANEL - n) * sizeof(float));
    }
}

/* Pack W, or its transpose, as a matrix of K rows and `slabs` times H columns for a target; return `packed`. Panels are
   in the order in which the loops read them: those of all slabs for PANEL units, then those of the next units. The rows
   of the `group` panels that a tile reads are side by side. */
static const float *pack(const struct target *target, const struct window *w, Py_ssize_t slabs, Py_ssize_t K,
                         int transposed, float *packed)
{
    const Py_ssize_t H = w->H, panels = slabs * ((H + PANEL - 1) / PANEL);
    const Py_ssize_t in_tile = slabs > 1 ? slabs : TILE_WIDTH / PANEL;
    const Py_ssize_t group = in_tile < target->panels ? in_tile : target->panels;
    for (Py_ssize_t first = 0; first < panels; first += group) {
        Py_ssize_t count = panels - first < group ? panels - first : group, step = count * PANEL;
        float *to = packed + first * PANEL * K;
        for (Py_ssize_t panel = first; panel < first + count; panel++, to += PANEL) {
            Py_ssize_t u = panel / slabs * PANEL, n = H - u < PANEL ? H - u : PANEL;
            fill(to, step, w->weight + (transposed ? (panel % slabs * H + u) * H : u), H, K, n, transposed);
        }
    }
    return packed;
}

/* Allocate `size` floats, aligned to cache lines; return NULL, with an error set, if that fails. */
static float *memory_of(struct call *call, Py_ssize_t size)
{
    call->memory = PyMem_RawMalloc((size_t)size * sizeof(float) + ALIGNMENT);
    if (!call->memory)
        PyErr_NoMemory();
    return call->memory ? (float *)(((uintptr_t)call->memory / ALIGNMENT + 1) * ALIGNMENT) : NULL;
}

/* Number of floats that `pack` writes. */
static Py_ssize_t packed_size(const struct window *w, Py_ssize_t slabs, Py_ssize_t K)
{
    return slabs * ((w->H + PANEL - 1) / PANEL * PANEL) * K;
}

static PyObject *run(struct call *call, struct window *w, enum cell cell)
{
    const struct target *target = chosen; /* a copy: another thread may choose another target during the loop */
    Py_ssize_t of_tiles = w->B * STEP_OF_TILES(w->H, w->G), packs = w->T * w->B >= FEWEST_ROWS;
    if (!(w->tiles = memory_of(call, of_tiles + packs * packed_size(w, w->G, w->H))))
        return end(call, 0);
    Py_BEGIN_ALLOW_THREADS;
    if (packs)
        w->packed = pack(target, w, w->G, w->H, 1, w->tiles + of_tiles);
    target->forward(w, cell);
    Py_END_ALLOW_THREADS;
    return end(call, 1);
}

static PyObject *run_back(struct call *call, struct window *w, enum cell cell)
{
    const struct target *target = chosen;
    float *memory = memory_of(call, packed_size(w, 1, w->G * w->H));
    if (!memory)
        return end(call, 0);
    Py_BEGIN_ALLOW_THREADS;
    w->packed = pack(target, w, 1, w->G * w->H, 0, memory);
    target->backward(w, cell);
    Py_END_ALLOW_THREADS;
    return end(call, 1);
}

/* Begin a twin of `run` or `run_back` in nn/cells/loop.py: check the number of arguments, and take the sizes from an
   array (T, B, G H). */
#define BEGIN(arguments, slab, number)                                                                                 \
    struct call call = {.count = 0};                                                                                   \
    struct window w = {.T = 0};                                                                                        \
    if (counted(found, arguments) < 0 || sizes_of(slab, number, &w) < 0)                                               \
        return NULL;                                                                                                   \
    const Py_ssize_t T = w.T, B = w.B, H = w.H, G = number, step = B * H, steps = T * step

/* rnn_steps(weight, gates, keep, bias, h, activation) */
static PyObject *rnn_steps(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    BEGIN(6, a[1], 1);
    if (activation_of(a[5], &w) < 0 || READ(a[0], G * H * H, w.weight) || READ(a[1], steps, w.gates) ||
        READ_OR_NONE(a[2], T * B, w.keep) || READ(a[3], H, w.bias) || WRITTEN(a[4], steps + step, w.h))
        return end(&call, 0);
    return run(&call, &w, RNN);
}

/* rnn_steps_backward(weight, dh, carried, keep, h, delta, activation) */
static PyObject *rnn_steps_backward(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    BEGIN(7, a[1], 1);
    if (activation_of(a[6], &w) < 0 || READ(a[0], G * H * H, w.weight) || READ(a[1], steps, w.dh) ||
        WRITTEN(a[2], step, w.carried) || READ_OR_NONE(a[3], T * B, w.keep) || READ(a[4], steps + step, w.h) ||
        WRITTEN(a[5], steps, w.delta))
        return end(&call, 0);
    return run_back(&call, &w, RNN);
}

/* For cells with state h and c, whose numbers of slabs differ: steps(weight, gates, keep, bias, h, c, tanh_c) */
static PyObject *memory_steps(Py_ssize_t slabs, enum cell cell, PyObject *const *a, Py_ssize_t found)
{
    BEGIN(7, a[1], slabs);
    if (READ(a[0], G * H * H, w.weight) || WRITTEN(a[1], G * steps, w.gates) || READ_OR_NONE(a[2], T * B, w.keep) ||
        READ(a[3], G * H, w.bias) || WRITTEN(a[4], steps + step, w.h) || WRITTEN(a[5], steps + step, w.c) ||
        WRITTEN(a[6], steps, w.tanh_c))
        return end(&call, 0);
    return run(&call, &w, cell);
}

static PyObject *lstm_steps(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    return memory_steps(4, LSTM, a, found);
}

static PyObject *cifg_steps(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    return memory_steps(3, CIFG, a, found);
}

/* steps_backward(weight, dh, carried, keep, gates, c, tanh_c, dc, delta) */
static PyObject *memory_steps_backward(Py_ssize_t slabs, enum cell cell, PyObject *const *a, Py_ssize_t found)
{
    BEGIN(9, a[4], slabs);
    if (READ(a[0], G * H * H, w.weight) || READ(a[1], steps, w.dh) || WRITTEN(a[2], step, w.carried) ||
        READ_OR_NONE(a[3], T * B, w.keep) || READ(a[4], G * steps, w.gates) || READ(a[5], steps + step, w.c) ||
        READ(a[6], steps, w.tanh_c) || WRITTEN(a[7], step, w.dc) || WRITTEN(a[8], G * steps, w.delta))
        return end(&call, 0);
    return run_back(&call, &w, cell);
}

static PyObject *lstm_steps_backward(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    return memory_steps_backward(4, LSTM, a, found);
}

static PyObject *cifg_steps_backward(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    return memory_steps_backward(3, CIFG, a, found);
}

/* gru_steps(weight, gates, keep, bias, h, memory) */
static PyObject *gru_steps(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    BEGIN(6, a[1], 3);
    if (READ(a[0], G * H * H, w.weight) || WRITTEN(a[1], G * steps, w.gates) || READ_OR_NONE(a[2], T * B, w.keep) ||
        READ(a[3], 4 * H, w.bias) || WRITTEN(a[4], steps + step, w.h) || WRITTEN(a[5], steps, w.memory))
        return end(&call, 0);
    return run(&call, &w, GRU);
}

/* gru_steps_backward(weight, dh, carried, keep, gates, h, memory, direct, delta, recurrent) */
static PyObject *gru_steps_backward(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    BEGIN(10, a[4], 3);
    if (READ(a[0], G * H * H, w.weight) || READ(a[1], steps, w.dh) || WRITTEN(a[2], step, w.carried) ||
        READ_OR_NONE(a[3], T * B, w.keep) || READ(a[4], G * steps, w.gates) || READ(a[5], steps + step, w.h) ||
        READ(a[6], steps, w.memory) || WRITTEN(a[7], step, w.direct) || WRITTEN(a[8], G * steps, w.delta) ||
        WRITTEN(a[9], G * steps, w.recurrent))
        return end(&call, 0);
    return run_back(&call, &w, GRU);
}

/* --- other sweeps ------------------------------------------------------------------------------------------------ */

/* Return whether all integers are in [0, limit); if not, an error is set. */
static int all_below(Py_ssize_t limit, const int64_t *numbers, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        if (numbers[i] < 0 || numbers[i] >= limit) {
            PyErr_Format(PyExc_ValueError, "expected places from 0 on, each below %zd", limit);
            return 0;
        }
    return 1;
}

/* softmax_error(logits, bias, targets, scale, nats) */
static PyObject *softmax_error(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    const Py_buffer *view;
    float *nats;
    const float *bias = NULL;
    const int64_t *targets;
    if (counted(found, 5) < 0)
        return NULL;
    float scale = (float)PyFloat_AsDouble(a[3]);
    if (PyErr_Occurred() || !(view = rows_of(&call, a[0], PyBUF_CONTIG)))
        return end(&call, 0);
    Py_ssize_t n = view->shape[0], V = view->shape[1];
    float *logits = view->buf;
    if (READ_OR_NONE(a[1], V, bias) || WRITTEN(a[4], n, nats) ||
        !(targets = numbers(&call, a[2], n, PyBUF_CONTIG_RO, INT64)) || !all_below(V, targets, n))
        return end(&call, 0);
    Py_BEGIN_ALLOW_THREADS;
    for (Py_ssize_t row = 0; row < n; row++)
        nats[row] = chosen->softmax_error(V, logits + row * V, bias, (Py_ssize_t)targets[row], scale);
    Py_END_ALLOW_THREADS;
    return end(&call, 1);
}

/* log_softmax(logits) */
static PyObject *log_softmax(PyObject *module, PyObject *logits)
{
    struct call call = {.count = 0};
    const Py_buffer *view = rows_of(&call, logits, PyBUF_STRIDED);
    if (!view)
        return end(&call, 0);
    Py_BEGIN_ALLOW_THREADS;
    for (Py_ssize_t row = 0; row < view->shape[0]; row++)
        chosen->log_softmax(view->shape[1], (float *)((char *)view->buf + row * view->strides[0]), -0.0f);
    Py_END_ALLOW_THREADS;
    return end(&call, 1);
}

/* shifted_log_softmax(logits, shifts) */
static PyObject *shifted_log_softmax(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    const Py_buffer *view;
    const float *shifts;
    if (counted(found, 2) < 0)
        return NULL;
    if (!(view = rows_of(&call, a[0], PyBUF_STRIDED)) || READ(a[1], view->shape[0], shifts))
        return end(&call, 0);
    Py_BEGIN_ALLOW_THREADS;
    for (Py_ssize_t row = 0; row < view->shape[0]; row++)
        chosen->log_softmax(view->shape[1], (float *)((char *)view->buf + row * view->strides[0]), shifts[row]);
    Py_END_ALLOW_THREADS;
    return end(&call, 1);
}

/* sgd_update(p, g, scratch, lr) */
static PyObject *sgd_update(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    float *p;
    const float *g;
    if (counted(found, 4) < 0)
        return NULL;
    double lr = PyFloat_AsDouble(a[3]);
    Py_ssize_t size = PyErr_Occurred() ? -1 : PyObject_Length(a[0]);
    if (size < 0 || WRITTEN(a[0], size, p) || READ(a[1], size, g))
        return end(&call, 0);
    Py_BEGIN_ALLOW_THREADS;
    chosen->sgd(size, p, g, (float)lr);
    Py_END_ALLOW_THREADS;
    return end(&call, 1);
}

/* momentum_update(p, g, v, scratch, mu, lr, ahead) */
static PyObject *momentum_update(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    float *p, *v;
    const float *g;
    if (counted(found, 7) < 0)
        return NULL;
    double mu = PyFloat_AsDouble(a[4]), lr = PyFloat_AsDouble(a[5]);
    int ahead = PyObject_IsTrue(a[6]);
    Py_ssize_t size = PyErr_Occurred() ? -1 : PyObject_Length(a[0]);
    if (size < 0 || WRITTEN(a[0], size, p) || READ(a[1], size, g) || WRITTEN(a[2], size, v))
        return end(&call, 0);
    Py_BEGIN_ALLOW_THREADS;
    chosen->momentum(size, p, g, v, (float)mu, (float)lr, ahead);
    Py_END_ALLOW_THREADS;
    return end(&call, 1);
}

/* adam_update(p, g, m, v, scratch, beta1, beta2, rate, correction, epsilon, decay) */
static PyObject *adam_update(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    double settings[6];
    float *p, *m, *v;
    const float *g;
    if (counted(found, 11) < 0)
        return NULL;
    for (int i = 0; i < 6; i++)
        settings[i] = PyFloat_AsDouble(a[5 + i]);
    if (PyErr_Occurred())
        return NULL;
    Py_ssize_t size = PyObject_Length(a[0]);
    if (size < 0 || WRITTEN(a[0], size, p) || READ(a[1], size, g) || WRITTEN(a[2], size, m) || WRITTEN(a[3], size, v))
        return end(&call, 0);
    Py_BEGIN_ALLOW_THREADS;
    chosen->adam(size, p, g, m, v, settings[0], settings[1], (float)settings[2], (float)settings[3],
                 (float)settings[4], (float)settings[5]);
    Py_END_ALLOW_THREADS;
    return end(&call, 1);
}

/* add_rows(rows, places, sums) */
static PyObject *add_rows(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    const Py_buffer *view;
    const float *rows;
    const int64_t *places;
    if (counted(found, 3) < 0 || !(view = rows_of(&call, a[2], PyBUF_CONTIG)))
        return end(&call, 0);
    Py_ssize_t U = view->shape[0], D = view->shape[1], N = PyObject_Length(a[1]);
    float *sums = view->buf;
    if (N < 0 || READ(a[0], N * D, rows) || !(places = numbers(&call, a[1], N, PyBUF_CONTIG_RO, INT64)) ||
        !all_below(U, places, N))
        return end(&call, 0);
    Py_BEGIN_ALLOW_THREADS;
    chosen->add_rows(N, D, rows, places, sums);
    Py_END_ALLOW_THREADS;
    return end(&call, 1);
}

/* places_of(keys, wanted, places) */
static PyObject *places_of(PyObject *module, PyObject *const *a, Py_ssize_t found)
{
    struct call call = {.count = 0};
    const int64_t *keys, *wanted;
    int64_t *places;
    if (counted(found, 3) < 0)
        return NULL;
    Py_ssize_t M = PyObject_Length(a[0]), n = PyObject_Length(a[1]);
    if (M < 0 || n < 0 || !(keys = numbers(&call, a[0], M, PyBUF_CONTIG_RO, INT64)) ||
        !(wanted = numbers(&call, a[1], n, PyBUF_CONTIG_RO, INT64)) ||
        !(places = numbers(&call, a[2], n, PyBUF_CONTIG, INT64)))
        return end(&call, 0);
    Py_BEGIN_ALLOW_THREADS;
    chosen->places_of(M, keys, n, wanted, places);
    Py_END_ALLOW_THREADS;
    return end(&call, 1);
}

/* --- module ------------------------------------------------------------------------------------------------------ */

/* choose(name): select the target for all functions; return whether this processor supports it. */
static PyObject *choose(PyObject *module, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    if (!text)
        return NULL;
    const struct target *target = target_of(text);
    if (target)
        chosen = target;
    return PyBool_FromLong(target != NULL);
}

#define METHOD(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, "See _kernels.pyi."}

#define METHOD_ON_ONE(name) {#name, name, METH_O, "See _kernels.pyi."}

static PyMethodDef methods[] = {
    METHOD(rnn_steps), METHOD(rnn_steps_backward), METHOD(lstm_steps), METHOD(lstm_steps_backward),
    METHOD(cifg_steps), METHOD(cifg_steps_backward), METHOD(gru_steps), METHOD(gru_steps_backward),
    METHOD(softmax_error), METHOD_ON_ONE(log_softmax), METHOD(shifted_log_softmax), METHOD(add_rows), METHOD(places_of),
    METHOD(sgd_update), METHOD(momentum_update), METHOD(adam_update), METHOD_ON_ONE(choose),
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_kernels", .m_doc = "Compiled twins of functions in rnnlm.nn.", .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModuleDef_Init(&definition); }
