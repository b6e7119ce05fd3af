// Stands for ggml's product of repacked Q4_K weights with several tokens, for CPUs with AVX-512 VNNI. The build script
// puts it behind the text of arch/x86/repack.cpp, whose own function it has renamed.
//
// ggml's multiplies bytes to 16-bit sums and those with the scales; VNNI's instruction sums four products of bytes to
// 32 bits at once. A row of a tile is one register: eight columns with two sums each, as the layout of the weights has
// eight bytes of one column beside eight of the next.
//
//   vx: [nc / 8][n / 256] block_q4_Kx8     eight columns of weights, interleaved by eight bytes
//   vy: [nr / 4][n / 256] block_q8_Kx4     four tokens, interleaved by eight bytes
//   s:  [nr] rows of bs floats             nc of each are written

namespace {

// Rows of the result, and the blocks of four tokens that they come from, that are computed together.
constexpr int EDGECALL_ROWS = 32;

// What is the same for every token: scales and minimums of the eight subblocks of eight columns, times the block's own.
struct edgecall_scales {
    __m512 scale[8];
    __m512i min[4];  // 16 bits: a column's minimum of subblock 2 p twice, then that of 2 p + 1 twice
    __m512 dmin;
};

// Each of eight numbers twice: a column's two sums have the same scale.
inline __m512 edgecall_twice(__m256 x) {
    const __m512i order = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_ps(order, _mm512_castps256_ps512(x));
}

inline void edgecall_unpack_scales(const block_q4_Kx8 & x, edgecall_scales & out) {
    const __m256 d = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) x.d));
    out.dmin = edgecall_twice(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) x.dmin)));
    uint8_t mins[8][8];
    for (int sb = 0; sb < 8; sb++) {
        // Twelve bytes with six bits each of eight scales and eight minimums, as in a block of Q4_K.
        uint32_t u[3];
        memcpy(u, x.scales + 12 * sb, sizeof(u));
        const uint32_t low[2] = { u[0] & 0x3f3f3f3f, (u[2] & 0x0f0f0f0f) | (((u[0] >> 6) & 0x03030303) << 4) };
        const uint32_t high[2] = { u[1] & 0x3f3f3f3f, ((u[2] >> 4) & 0x0f0f0f0f) | (((u[1] >> 6) & 0x03030303) << 4) };
        const __m256i scales = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *) low));
        out.scale[sb] = edgecall_twice(_mm256_mul_ps(d, _mm256_cvtepi32_ps(scales)));
        memcpy(mins[sb], high, sizeof(high));
    }
    for (int p = 0; p < 4; p++) {
        const __m128i even = _mm_loadl_epi64((const __m128i *) mins[2 * p]);
        const __m128i odd = _mm_loadl_epi64((const __m128i *) mins[2 * p + 1]);
        // Two bytes of each: even, even, odd, odd of one column, then of the next.
        const __m128i twice_even = _mm_unpacklo_epi8(even, even);
        const __m128i twice_odd = _mm_unpacklo_epi8(odd, odd);
        const __m256i both = _mm256_set_m128i(
            _mm_unpackhi_epi16(twice_even, twice_odd), _mm_unpacklo_epi16(twice_even, twice_odd));
        out.min[p] = _mm512_cvtepu8_epi16(both);
    }
}

// Eight bytes, in every column's place.
inline __m512i edgecall_everywhere(const void * eight_bytes) {
    int64_t x;
    memcpy(&x, eight_bytes, sizeof(x));
    return _mm512_set1_epi64(x);
}

// Where the numbers of one token are in blocks of four: of subblocks 2 g and 2 g + 1 eight at a time, and sums of sixteen.
template <int BLOCKS>
struct edgecall_tokens {
    const block_q8_Kx4 * y[BLOCKS];

    const int8_t * low(int r, int g, int chunk) const { return y[r / 4]->qs + 256 * g + 32 * chunk + 8 * (r % 4); }
    const int8_t * high(int r, int g, int chunk) const { return low(r, g, chunk) + 128; }
    const int16_t * sums(int r, int g) const { return y[r / 4]->bsums + 16 * g + 4 * (r % 4); }
    float d(int r) const { return y[r / 4]->d[r % 4]; }
};

// Adds to `sums` the products of one block of eight columns with the tokens of `y`.
template <int BLOCKS>
inline void edgecall_block(
    const block_q4_Kx8 & x, const edgecall_scales & scales, const edgecall_tokens<BLOCKS> & y, __m512 * sums) {
    constexpr int ROWS = 4 * BLOCKS;
    const __m512i nibble = _mm512_set1_epi8(0xf);
    __m512 sum[ROWS];
    for (int r = 0; r < ROWS; r++) {
        __m512i mins = _mm512_setzero_si512();
        for (int p = 0; p < 4; p++) {
            mins = _mm512_dpwssd_epi32(mins, edgecall_everywhere(y.sums(r, p)), scales.min[p]);
        }
        sum[r] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(mins), scales.dmin, _mm512_setzero_ps());
    }
    for (int group = 0; group < 4; group++) {
        __m512i low[ROWS], high[ROWS];
        for (int r = 0; r < ROWS; r++) {
            low[r] = high[r] = _mm512_setzero_si512();
        }
        for (int chunk = 0; chunk < 4; chunk++) {
            const __m512i weights = _mm512_loadu_si512(x.qs + 256 * group + 64 * chunk);
            const __m512i low_weights = _mm512_and_si512(weights, nibble);
            const __m512i high_weights = _mm512_and_si512(_mm512_srli_epi16(weights, 4), nibble);
            for (int r = 0; r < ROWS; r++) {
                low[r] = _mm512_dpbusd_epi32(low[r], low_weights, edgecall_everywhere(y.low(r, group, chunk)));
                high[r] = _mm512_dpbusd_epi32(high[r], high_weights, edgecall_everywhere(y.high(r, group, chunk)));
            }
        }
        for (int r = 0; r < ROWS; r++) {
            sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(low[r]), scales.scale[2 * group], sum[r]);
            sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high[r]), scales.scale[2 * group + 1], sum[r]);
        }
    }
    for (int r = 0; r < ROWS; r++) {
        sums[r] = _mm512_fmadd_ps(_mm512_set1_ps(y.d(r)), sum[r], sums[r]);
    }
}

// The sums of eight columns, two of each in `pairs`.
inline __m256 edgecall_columns(__m512 pairs) {
    const __m512i evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i odds = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_castps512_ps256(_mm512_add_ps(_mm512_permutexvar_ps(evens, pairs), _mm512_permutexvar_ps(odds, pairs)));
}

}  // namespace

void ggml_gemm_q4_K_8x8_q8_K(int n, float * GGML_RESTRICT s, size_t bs, const void * GGML_RESTRICT vx,
                             const void * GGML_RESTRICT vy, int nr, int nc) {
    const int nb = n / QK_K;
    for (int first = 0; first < nr; first += EDGECALL_ROWS) {
        const int blocks = (nr - first < EDGECALL_ROWS ? nr - first : EDGECALL_ROWS) / 4;
        const block_q8_Kx4 * tokens = (const block_q8_Kx4 *) vy + (size_t) first / 4 * nb;
        for (int column = 0; column < nc; column += 8) {
            const block_q4_Kx8 * weights = (const block_q4_Kx8 *) vx + (size_t) column / 8 * nb;
            __m512 sums[EDGECALL_ROWS];
            for (int r = 0; r < 4 * blocks; r++) {
                sums[r] = _mm512_setzero_ps();
            }
            for (int l = 0; l < nb; l++) {
                edgecall_scales scales;
                edgecall_unpack_scales(weights[l], scales);
                int b = 0;
                for (; b + 2 <= blocks; b += 2) {
                    const edgecall_tokens<2> eight = { { tokens + (size_t) b * nb + l, tokens + (size_t) (b + 1) * nb + l } };
                    edgecall_block(weights[l], scales, eight, sums + 4 * b);
                }
                if (b < blocks) {
                    const edgecall_tokens<1> four = { { tokens + (size_t) b * nb + l } };
                    edgecall_block(weights[l], scales, four, sums + 4 * b);
                }
            }
            for (int r = 0; r < 4 * blocks; r++) {
                _mm256_storeu_ps(s + (size_t) (first + r) * bs + column, edgecall_columns(sums[r]));
            }
        }
    }
}
