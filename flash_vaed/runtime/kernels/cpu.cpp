// Kernels for a CPU, in the vector language of GCC and Clang: any instruction set, 16 lanes at a time.
//
// Clips lie channels last: a row is the C channels of one pixel. Elements are float32, or bfloat16 as 16-bit words; sums
// are float32.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int LANES = 16;
using Floats = float __attribute__((vector_size(64)));
using Words = std::uint32_t __attribute__((vector_size(64)));
using Halves = std::uint16_t __attribute__((vector_size(32)));
using Bfloat16 = std::uint16_t;
using Int = std::int64_t;

inline Floats all(float value) { return value - Floats{}; }

inline Floats load(const float* from) {
    Floats lanes;
    std::memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

inline Floats load(const Bfloat16* from) {
    Halves halves;
    std::memcpy(&halves, from, sizeof halves);
    return (Floats)(__builtin_convertvector(halves, Words) << 16);
}

inline void store(float* to, Floats lanes) { std::memcpy(to, &lanes, sizeof lanes); }

inline void store(Bfloat16* to, Floats lanes) {  // to the nearest, ties to even
    const Words bits = (Words)lanes;
    const Halves halves = __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, Halves);
    std::memcpy(to, &halves, sizeof halves);
}

inline float sum(Floats lanes) {
    float totals[LANES];
    store(totals, lanes);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; ++lane) totals[lane] += totals[lane + half];
    return totals[0];
}

// e^x to 2e-7 of its value: 2^n times a polynomial in what is left of x (Cephes' expf).
inline Floats exponential(Floats x) {
    x = x > 80.0f ? all(80.0f) : x;
    x = x < -80.0f ? all(-80.0f) : x;
    const Floats shifted = x * 1.44269504f + 12582912.0f;  // the integer lies in the lowest bits now
    const Floats n = shifted - 12582912.0f;
    const Floats r = x - n * 0.693359375f + n * 2.12194440e-4f;
    Floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return (Floats)((Words)p + ((Words)shifted << 23));
}

inline Floats silu(Floats x) { return x / (1.0f + exponential(-x)); }

// Channels in whole vectors: a row is read twice, the second time from the nearest cache.
template <class T>
void rows_of_vectors(const T* x, const float* gain, T* out, Int rows, Int C, float least, float more, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Int row = 0; row < rows; ++row) {
        const T* in = x + row * C;
        Floats squares{};
        for (Int c = 0; c < C; c += LANES) {
            const Floats lanes = load(in + c);
            squares += lanes * lanes;
        }
        const float mean = sum(squares) / C, inverse = 1.0f / std::sqrt((mean < least ? least : mean) + more);
        for (Int c = 0; c < C; c += LANES) store(out + row * C + c, silu(load(in + c) * inverse * load(gain + c)));
    }
}

// Any number of channels: 16 rows at a time, which are whole vectors together.
template <class T>
void rows_of_any(const T* x, const float* gain, T* out, Int rows, Int C, float least, float more, int threads) {
    const Int size = LANES * C, blocks = (rows + LANES - 1) / LANES;
#pragma omp parallel num_threads(threads)
    {
        std::vector<T> edge(size);
        std::vector<float> values(size), factors(size);
        float inverse[LANES];
#pragma omp for schedule(static)
        for (Int block = 0; block < blocks; ++block) {
            const Int present = (block + 1 < blocks ? LANES : rows - block * LANES) * C;
            const T* in = x + block * size;
            if (present < size) {
                std::memcpy(edge.data(), in, present * sizeof(T));
                in = edge.data();
            }
            for (Int i = 0; i < size; i += LANES) store(values.data() + i, load(in + i));
            for (int row = 0; row < LANES; ++row) {
                float squares = 0;
#pragma omp simd reduction(+ : squares)
                for (Int c = 0; c < C; ++c) squares += values[row * C + c] * values[row * C + c];
                inverse[row] = squares / C;
            }
            for (int row = 0; row < LANES; ++row)
                inverse[row] = 1.0f / std::sqrt((inverse[row] < least ? least : inverse[row]) + more);
            for (int row = 0; row < LANES; ++row)
                for (Int c = 0; c < C; ++c) factors[row * C + c] = inverse[row] * gain[c];
            T* target = present < size ? edge.data() : out + block * size;
            for (Int i = 0; i < size; i += LANES)
                store(target + i, silu(load(values.data() + i) * load(factors.data() + i)));
            if (present < size) std::memcpy(out + block * size, target, present * sizeof(T));
        }
    }
}

template <class T>
void norm_silu(const T* x, const float* gain, T* out, Int rows, Int C, float least, float more, int threads) {
    (C % LANES ? rows_of_any<T> : rows_of_vectors<T>)(x, gain, out, rows, C, least, more, threads);
}

// One row of output pixels and WIDE vectors of channels: a column of neighbours is read once and brought to the three
// outputs that see it.
template <int WIDE, class T>
void filter_row(const T* const* lines, const float* const* taps, int count, T* out, Int W, Int C) {
    Floats left[WIDE]{}, here[WIDE]{}, right[WIDE];
    for (Int w = 0; w <= W; ++w) {
        for (int v = 0; v < WIDE; ++v) right[v] = Floats{};
        for (int line = 0; w < W && line < count; ++line) {
            const T* in = lines[line] + w * C;
            const float* tap = taps[line];
            for (int v = 0; v < WIDE; ++v) {
                const Floats value = load(in + v * LANES);
                right[v] += value * load(tap + v * LANES);
                here[v] += value * load(tap + C + v * LANES);
                left[v] += value * load(tap + 2 * C + v * LANES);
            }
        }
        for (int v = 0; v < WIDE; ++v) {
            if (w > 0) store(out + (w - 1) * C + v * LANES, left[v]);
            left[v] = here[v];
            here[v] = right[v];
        }
    }
}

// past: `before` frames in front of the clip, 0 or 2; what lies in front of them is zero. taps: (3, 3, 3, C).
template <class T>
void depthwise(const T* past, const T* x, const float* taps, T* out, Int N, Int before, Int F, Int H, Int W, Int C,
               int threads) {
    const Int line = W * C, frame = H * line;
#pragma omp parallel for collapse(3) schedule(static) num_threads(threads)
    for (Int n = 0; n < N; ++n) {
        for (Int f = 0; f < F; ++f) {
            for (Int h = 0; h < H; ++h) {
                const T* lines[9];
                const float* rows[9];
                int count = 0;
                for (int k = 0; k < 3; ++k) {
                    const Int source = f + k - 2;
                    if (source < -before) continue;
                    const T* from = source < 0 ? past + (n * before + before + source) * frame : x + (n * F + source) * frame;
                    for (int i = 0; i < 3; ++i) {
                        if (h + i < 1 || h + i > H) continue;
                        lines[count] = from + (h + i - 1) * line;
                        rows[count++] = taps + (k * 3 + i) * 3 * C;
                    }
                }
                T* target = out + ((n * F + f) * H + h) * line;
                const int wide = C % (4 * LANES) ? 1 : 4;
                for (Int c = 0; c < C; c += wide * LANES) {
                    (wide == 4 ? filter_row<4, T> : filter_row<1, T>)(lines, rows, count, target + c, W, C);
                    for (int i = 0; i < count; ++i) lines[i] += wide * LANES, rows[i] += wide * LANES;
                }
            }
        }
    }
}

}  // namespace

extern "C" {

void norm_silu_float32(const float* x, const float* gain, float* out, Int rows, Int C, float least, float more,
                       int threads) {
    norm_silu(x, gain, out, rows, C, least, more, threads);
}

void norm_silu_bfloat16(const Bfloat16* x, const float* gain, Bfloat16* out, Int rows, Int C, float least, float more,
                        int threads) {
    norm_silu(x, gain, out, rows, C, least, more, threads);
}

void depthwise_float32(const float* past, const float* x, const float* taps, float* out, Int N, Int before, Int F, Int H,
                       Int W, Int C, int threads) {
    depthwise(past, x, taps, out, N, before, F, H, W, C, threads);
}

void depthwise_bfloat16(const Bfloat16* past, const Bfloat16* x, const float* taps, Bfloat16* out, Int N, Int before,
                        Int F, Int H, Int W, Int C, int threads) {
    depthwise(past, x, taps, out, N, before, F, H, W, C, threads);
}
}
