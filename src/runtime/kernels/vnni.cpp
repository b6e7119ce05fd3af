// Stand for ggml's products of repacked Q4_K, Q6_K and Q8_0 weights with one or several tokens, for CPUs with AVX-512
// VNNI. The build script puts them behind the text of arch/x86/repack.cpp; ggml's own functions are renamed.
//
// ggml has none for x86-64 that sums bytes by VNNI: for Q4_K it multiplies bytes to 16-bit sums and those with the
// scales, Q6_K and Q8_0 it does not repack there at all. VNNI's instruction sums four products of bytes to 32 bits at
// once. A register holds eight columns with two sums each, as the layout of the weights has eight bytes of one column
// beside eight of the next; the two are added at the end.
//
//   vx: [nc / 8][n / 256] block_q4_Kx8, block_q6_Kx8     eight columns of weights, interleaved by eight bytes
//       [nc / 4][n / 32]  block_q8_0x4                   four columns, interleaved by eight bytes
//   vy: gemm: [nr / 4][n / 256] block_q8_Kx4, [nr / 4][n / 32] block_q8_0x4    four tokens, interleaved by eight bytes
//       gemv: [nr][n / 256] block_q8_K, [nr][n / 32] block_q8_0                at most three tokens
//   s:  [nr] rows of bs floats             nc of each are written
//
// ggml calls gemv once for each token that is left over; here once for all of them (see the build script).

namespace {

// Rows of the result, and the blocks of four tokens that they come from, that are computed together.
constexpr int EDGECALL_ROWS = 32;

// Each of eight numbers twice: a column's two sums have the same scale.
inline __m512 edgecall_twice(__m256 x) {
    const __m512i order = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_ps(order, _mm512_castps256_ps512(x));
}

// Eight bytes, in every column's place.
inline __m512i edgecall_everywhere(const void * eight_bytes) {
    int64_t x;
    memcpy(&x, eight_bytes, sizeof(x));
    return _mm512_set1_epi64(x);
}

// 16 bits of each column's factors of bsums 4 p to 4 p + 3, from the factors of bsums 4 p, 4 p + 1, 4 p + 2, 4 p + 3.
template <bool SIGNED>
inline __m512i edgecall_factors(const void * a, const void * b, const void * c, const void * d) {
    const __m128i ab = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *) a), _mm_loadl_epi64((const __m128i *) b));
    const __m128i cd = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *) c), _mm_loadl_epi64((const __m128i *) d));
    const __m256i all = _mm256_set_m128i(_mm_unpackhi_epi16(ab, cd), _mm_unpacklo_epi16(ab, cd));
    return SIGNED ? _mm512_cvtepi8_epi16(all) : _mm512_cvtepu8_epi16(all);
}

// The sums of eight columns, two of each in `pairs`.
inline __m256 edgecall_columns(__m512 pairs) {
    const __m512i evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i odds = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_castps512_ps256(_mm512_add_ps(_mm512_permutexvar_ps(evens, pairs), _mm512_permutexvar_ps(odds, pairs)));
}

// One block of 256 numbers of ROWS tokens, interleaved by four.
template <int ROWS_>
struct edgecall_interleaved_k {
    static constexpr int ROWS = ROWS_;
    const block_q8_Kx4 * y[ROWS / 4];

    edgecall_interleaved_k(const void * vy, int nb, int row, int l) {
        for (int b = 0; b < ROWS / 4; b++) {
            y[b] = (const block_q8_Kx4 *) vy + (size_t) (row / 4 + b) * nb + l;
        }
    }
    // Numbers 8 i to 8 i + 7 of token r.
    const int8_t * eight(int r, int i) const { return y[r / 4]->qs + 32 * i + 8 * (r % 4); }
    // Sums of sixteen numbers, four of them from number 64 p on.
    const int16_t * sums(int r, int p) const { return y[r / 4]->bsums + 16 * p + 4 * (r % 4); }
    float d(int r) const { return y[r / 4]->d[r % 4]; }
};

// The same of tokens one behind the other.
template <int ROWS_>
struct edgecall_plain_k {
    static constexpr int ROWS = ROWS_;
    const block_q8_K * y[ROWS];

    edgecall_plain_k(const void * vy, int nb, int row, int l) {
        for (int r = 0; r < ROWS; r++) {
            y[r] = (const block_q8_K *) vy + (size_t) (row + r) * nb + l;
        }
    }
    const int8_t * eight(int r, int i) const { return y[r]->qs + 8 * i; }
    const int16_t * sums(int r, int p) const { return y[r]->bsums + 4 * p; }
    float d(int r) const { return y[r]->d; }
};

// Begins each token's sum with its sums of sixteen times `factor`, times `scale`, taken off.
template <typename TOKENS>
inline void edgecall_subtract_sums(const TOKENS & y, const __m512i * factor, __m512 scale, __m512 * sum) {
    for (int r = 0; r < TOKENS::ROWS; r++) {
        __m512i all = _mm512_setzero_si512();
        for (int p = 0; p < 4; p++) {
            all = _mm512_dpwssd_epi32(all, edgecall_everywhere(y.sums(r, p)), factor[p]);
        }
        sum[r] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(all), scale, _mm512_setzero_ps());
    }
}

// Eight columns of a block of Q4_K: what is the same for every token, and the products with tokens.
struct edgecall_q4_k {
    using block = block_q4_Kx8;

    const block_q4_Kx8 & x;
    __m512 scale[8];  // of the eight subblocks, times the block's own
    __m512i min[4];   // 16 bits: a column's minimum of subblock 2 p twice, then that of 2 p + 1 twice
    __m512 dmin;

    explicit edgecall_q4_k(const block_q4_Kx8 & x) : x(x) {
        const __m256 d = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) x.d));
        dmin = edgecall_twice(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) x.dmin)));
        uint8_t mins[8][8];
        for (int sb = 0; sb < 8; sb++) {
            // Twelve bytes with six bits each of eight scales and eight minimums, as in a block of Q4_K.
            uint32_t u[3];
            memcpy(u, x.scales + 12 * sb, sizeof(u));
            const uint32_t low[2] = { u[0] & 0x3f3f3f3f, (u[2] & 0x0f0f0f0f) | (((u[0] >> 6) & 0x03030303) << 4) };
            const uint32_t high[2] = { u[1] & 0x3f3f3f3f, ((u[2] >> 4) & 0x0f0f0f0f) | (((u[1] >> 6) & 0x03030303) << 4) };
            const __m256i scales = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *) low));
            scale[sb] = edgecall_twice(_mm256_mul_ps(d, _mm256_cvtepi32_ps(scales)));
            memcpy(mins[sb], high, sizeof(high));
        }
        for (int p = 0; p < 4; p++) {
            min[p] = edgecall_factors<false>(mins[2 * p], mins[2 * p], mins[2 * p + 1], mins[2 * p + 1]);
        }
    }

    // Adds the products of tokens with the columns to `sums`.
    template <typename TOKENS>
    void add(const TOKENS & y, __m512 * sums) const {
        constexpr int ROWS = TOKENS::ROWS;
        const __m512i nibble = _mm512_set1_epi8(0xf);
        __m512 sum[ROWS];
        edgecall_subtract_sums(y, min, dmin, sum);
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
                    low[r] = _mm512_dpbusd_epi32(low[r], low_weights, edgecall_everywhere(y.eight(r, 8 * group + chunk)));
                    high[r] = _mm512_dpbusd_epi32(high[r], high_weights, edgecall_everywhere(y.eight(r, 8 * group + 4 + chunk)));
                }
            }
            for (int r = 0; r < ROWS; r++) {
                sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(low[r]), scale[2 * group], sum[r]);
                sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high[r]), scale[2 * group + 1], sum[r]);
            }
        }
        for (int r = 0; r < ROWS; r++) {
            sums[r] = _mm512_fmadd_ps(_mm512_set1_ps(y.d(r)), sum[r], sums[r]);
        }
    }
};

// Eight columns of a block of Q6_K. Its numbers of -32 to 31 are taken as 0 to 63, as one factor of VNNI's products has
// no sign; 32 times the sum of the tokens' numbers is taken off again.
struct edgecall_q6_k {
    using block = block_q6_Kx8;

    const block_q6_Kx8 & x;
    __m512 scale[16];   // of the sixteen subblocks, times the block's own
    __m512i factor[4];  // 16 bits: a column's scales of subblocks 4 p to 4 p + 3
    __m512 d32;         // 32 times the block's own scale

    explicit edgecall_q6_k(const block_q6_Kx8 & x) : x(x) {
        const __m256 d = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) x.d));
        d32 = edgecall_twice(_mm256_mul_ps(d, _mm256_set1_ps(32.0f)));
        for (int sb = 0; sb < 16; sb++) {
            const __m256i scales = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *) (x.scales + 8 * sb)));
            scale[sb] = edgecall_twice(_mm256_mul_ps(d, _mm256_cvtepi32_ps(scales)));
        }
        for (int p = 0; p < 4; p++) {
            const int8_t * scales = x.scales + 32 * p;
            factor[p] = edgecall_factors<true>(scales, scales + 8, scales + 16, scales + 24);
        }
    }

    // Two bits of each number from `high`, where they begin at bit `at`, above four.
    static __m512i six_bits(__m512i four, __m512i high, int at) {
        const __m512i two = at < 4 ? _mm512_slli_epi16(high, 4 - at) : _mm512_srli_epi16(high, at - 4);
        return _mm512_or_si512(four, _mm512_and_si512(two, _mm512_set1_epi8(0x30)));
    }

    template <typename TOKENS>
    void add(const TOKENS & y, __m512 * sums) const {
        constexpr int ROWS = TOKENS::ROWS;
        const __m512i nibble = _mm512_set1_epi8(0xf);
        __m512 sum[ROWS];
        edgecall_subtract_sums(y, factor, d32, sum);
        // Of each half of the block: 64 bytes with the low bits of numbers 0 to 63 and, above them, 64 to 127; 32 bytes
        // with the high bits of numbers i, 32 + i, 64 + i and 96 + i.
        for (int half = 0; half < 2; half++) {
#pragma GCC unroll 4
            for (int pair = 0; pair < 4; pair++) {
                const int bit = pair < 2 ? 0 : 2;
                __m512i low[ROWS], high[ROWS];
                for (int r = 0; r < ROWS; r++) {
                    low[r] = high[r] = _mm512_setzero_si512();
                }
                for (int chunk = 2 * pair; chunk < 2 * pair + 2; chunk++) {
                    const __m512i ql = _mm512_loadu_si512(x.ql + 64 * (8 * half + chunk));
                    const __m512i qh = _mm512_loadu_si512(x.qh + 64 * (4 * half + chunk % 4));
                    const __m512i low_weights = six_bits(_mm512_and_si512(ql, nibble), qh, bit);
                    const __m512i high_weights =
                        six_bits(_mm512_and_si512(_mm512_srli_epi16(ql, 4), nibble), qh, bit + 4);
                    for (int r = 0; r < ROWS; r++) {
                        low[r] = _mm512_dpbusd_epi32(low[r], low_weights, edgecall_everywhere(y.eight(r, 16 * half + chunk)));
                        high[r] = _mm512_dpbusd_epi32(high[r], high_weights, edgecall_everywhere(y.eight(r, 16 * half + 8 + chunk)));
                    }
                }
                for (int r = 0; r < ROWS; r++) {
                    sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(low[r]), scale[8 * half + pair], sum[r]);
                    sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high[r]), scale[8 * half + 4 + pair], sum[r]);
                }
            }
        }
        for (int r = 0; r < ROWS; r++) {
            sums[r] = _mm512_fmadd_ps(_mm512_set1_ps(y.d(r)), sum[r], sums[r]);
        }
    }
};

template <typename WEIGHTS>
void edgecall_gemm_k(int n, float * s, size_t bs, const void * vx, const void * vy, int nr, int nc) {
    const int nb = n / QK_K;
    for (int first = 0; first < nr; first += EDGECALL_ROWS) {
        const int rows = nr - first < EDGECALL_ROWS ? nr - first : EDGECALL_ROWS;
        for (int column = 0; column < nc; column += 8) {
            const auto * weights = (const typename WEIGHTS::block *) vx + (size_t) column / 8 * nb;
            __m512 sums[EDGECALL_ROWS];
            for (int r = 0; r < rows; r++) {
                sums[r] = _mm512_setzero_ps();
            }
            for (int l = 0; l < nb; l++) {
                const WEIGHTS block(weights[l]);
                int r = 0;
                for (; r + 8 <= rows; r += 8) {
                    block.add(edgecall_interleaved_k<8>(vy, nb, first + r, l), sums + r);
                }
                if (r < rows) {
                    block.add(edgecall_interleaved_k<4>(vy, nb, first + r, l), sums + r);
                }
            }
            for (int r = 0; r < rows; r++) {
                _mm256_storeu_ps(s + (size_t) (first + r) * bs + column, edgecall_columns(sums[r]));
            }
        }
    }
}

template <typename WEIGHTS, int ROWS>
void edgecall_gemv_k(int n, float * s, size_t bs, const void * vx, const void * vy, int nc) {
    const int nb = n / QK_K;
    for (int column = 0; column < nc; column += 8) {
        const auto * weights = (const typename WEIGHTS::block *) vx + (size_t) column / 8 * nb;
        __m512 sums[ROWS];
        for (int r = 0; r < ROWS; r++) {
            sums[r] = _mm512_setzero_ps();
        }
        for (int l = 0; l < nb; l++) {
            const WEIGHTS block(weights[l]);
            block.add(edgecall_plain_k<ROWS>(vy, nb, 0, l), sums);
        }
        for (int r = 0; r < ROWS; r++) {
            _mm256_storeu_ps(s + (size_t) r * bs + column, edgecall_columns(sums[r]));
        }
    }
}

template <typename WEIGHTS>
void edgecall_gemv_k(int n, float * s, size_t bs, const void * vx, const void * vy, int nr, int nc) {
    switch (nr) {
        case 1: return edgecall_gemv_k<WEIGHTS, 1>(n, s, bs, vx, vy, nc);
        case 2: return edgecall_gemv_k<WEIGHTS, 2>(n, s, bs, vx, vy, nc);
        case 3: return edgecall_gemv_k<WEIGHTS, 3>(n, s, bs, vx, vy, nc);
        default: GGML_ABORT("gemv of %d tokens", nr);
    }
}

// What is computed once for a token's block of 32 numbers. Weights have signs here; 128 is added to each, as for Q6_K.
struct edgecall_q8_0_block {
    int32_t excess[2];  // -128 times the numbers' sums: of the first four of each eight, and of the others
    float d;
};

// Tokens in blocks of Q8_0, interleaved by four.
struct edgecall_interleaved_q8_0 {
    using block = block_q8_0x4;
    static constexpr int STRIDE = 32;

    static const int8_t * numbers(const void * vy, int nb, int row, int l) {
        return ((const block *) vy)[(size_t) (row / 4) * nb + l].qs + 8 * (row % 4);
    }
    static ggml_half d(const void * vy, int nb, int row, int l) {
        return ((const block *) vy)[(size_t) (row / 4) * nb + l].d[row % 4];
    }
};

// Tokens one behind the other.
struct edgecall_plain_q8_0 {
    using block = block_q8_0;
    static constexpr int STRIDE = 8;

    static const int8_t * numbers(const void * vy, int nb, int row, int l) {
        return ((const block *) vy)[(size_t) row * nb + l].qs;
    }
    static ggml_half d(const void * vy, int nb, int row, int l) {
        return ((const block *) vy)[(size_t) row * nb + l].d;
    }
};

template <typename TOKENS>
inline edgecall_q8_0_block edgecall_prepare(const void * vy, int nb, int row, int l) {
    const int8_t * y = TOKENS::numbers(vy, nb, row, l);
    __m128i sum = _mm_setzero_si128();
    for (int i = 0; i < 4; i++) {
        sum = _mm_dpbusd_epi32(sum, _mm_set1_epi8((char) 0x80), _mm_loadl_epi64((const __m128i *) (y + TOKENS::STRIDE * i)));
    }
    edgecall_q8_0_block block;
    _mm_storel_epi64((__m128i *) block.excess, _mm_sub_epi32(_mm_setzero_si128(), sum));
    block.d = _cvtsh_ss(TOKENS::d(vy, nb, row, l));
    return block;
}

// ROWS tokens from `row` on with eight columns; `prepared` has ROWS blocks for each of the nb.
template <typename TOKENS, int ROWS>
inline void edgecall_columns_q8_0(int nb, const block_q8_0x4 * a, const block_q8_0x4 * b, const void * vy, int row,
                                  const edgecall_q8_0_block * prepared, __m512 * sums) {
    for (int r = 0; r < ROWS; r++) {
        sums[r] = _mm512_setzero_ps();
    }
    const __m512i sign = _mm512_set1_epi8((char) 0x80);
    const int8_t * y[ROWS];
    for (int r = 0; r < ROWS; r++) {
        y[r] = TOKENS::numbers(vy, nb, row + r, 0);
    }
    for (int l = 0; l < nb; l++) {
        __m512i weights[4];
        for (int i = 0; i < 4; i++) {
            const __m512i low = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *) (a[l].qs + 32 * i)));
            const __m256i high = _mm256_loadu_si256((const __m256i *) (b[l].qs + 32 * i));
            weights[i] = _mm512_xor_si512(_mm512_inserti64x4(low, high, 1), sign);
        }
        const __m128i halves = _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *) a[l].d), _mm_loadl_epi64((const __m128i *) b[l].d));
        const __m512 d = edgecall_twice(_mm256_cvtph_ps(halves));
        for (int r = 0; r < ROWS; r++) {
            const edgecall_q8_0_block & block = prepared[(size_t) l * ROWS + r];
            __m512i sum = edgecall_everywhere(block.excess);
            for (int i = 0; i < 4; i++) {
                sum = _mm512_dpbusd_epi32(sum, weights[i], edgecall_everywhere(y[r] + l * sizeof(typename TOKENS::block) + TOKENS::STRIDE * i));
            }
            sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(d, _mm512_set1_ps(block.d)), sums[r]);
        }
    }
}

// ROWS tokens from `row` on with all columns.
template <typename TOKENS, int ROWS>
void edgecall_product_q8_0(int n, float * s, size_t bs, const void * vx, const void * vy, int row, int nc,
                           std::vector<edgecall_q8_0_block> & prepared) {
    const int nb = n / QK8_0;
    prepared.resize((size_t) nb * ROWS);
    for (int l = 0; l < nb; l++) {
        for (int r = 0; r < ROWS; r++) {
            prepared[(size_t) l * ROWS + r] = edgecall_prepare<TOKENS>(vy, nb, row + r, l);
        }
    }
    for (int column = 0; column < nc; column += 8) {
        const block_q8_0x4 * a = (const block_q8_0x4 *) vx + (size_t) column / 4 * nb;
        // The last four columns of an odd number of fours stand for the missing ones.
        const bool is_whole = column + 8 <= nc;
        __m512 sums[ROWS];
        edgecall_columns_q8_0<TOKENS, ROWS>(nb, a, is_whole ? a + nb : a, vy, row, prepared.data(), sums);
        for (int r = 0; r < ROWS; r++) {
            float * to = s + (size_t) (row + r) * bs + column;
            const __m256 columns = edgecall_columns(sums[r]);
            if (is_whole) {
                _mm256_storeu_ps(to, columns);
            } else {
                _mm_storeu_ps(to, _mm256_castps256_ps128(columns));
            }
        }
    }}

}  // namespace

void ggml_gemm_q4_K_8x8_q8_K(int n, float * GGML_RESTRICT s, size_t bs, const void * GGML_RESTRICT vx,
                             const void * GGML_RESTRICT vy, int nr, int nc) {
    edgecall_gemm_k<edgecall_q4_k>(n, s, bs, vx, vy, nr, nc);
}

void ggml_gemv_q4_K_8x8_q8_K(int n, float * GGML_RESTRICT s, size_t bs, const void * GGML_RESTRICT vx,
                             const void * GGML_RESTRICT vy, int nr, int nc) {
    edgecall_gemv_k<edgecall_q4_k>(n, s, bs, vx, vy, nr, nc);
}

void ggml_gemm_q6_K_8x8_q8_K(int n, float * GGML_RESTRICT s, size_t bs, const void * GGML_RESTRICT vx,
                             const void * GGML_RESTRICT vy, int nr, int nc) {
    edgecall_gemm_k<edgecall_q6_k>(n, s, bs, vx, vy, nr, nc);
}

void ggml_gemv_q6_K_8x8_q8_K(int n, float * GGML_RESTRICT s, size_t bs, const void * GGML_RESTRICT vx,
                             const void * GGML_RESTRICT vy, int nr, int nc) {
    edgecall_gemv_k<edgecall_q6_k>(n, s, bs, vx, vy, nr, nc);
}

void ggml_gemm_q8_0_4x8_q8_0(int n, float * GGML_RESTRICT s, size_t bs, const void * GGML_RESTRICT vx,
                             const void * GGML_RESTRICT vy, int nr, int nc) {
    std::vector<edgecall_q8_0_block> prepared;
    int row = 0;
    for (; row + 12 <= nr; row += 12) {
        edgecall_product_q8_0<edgecall_interleaved_q8_0, 12>(n, s, bs, vx, vy, row, nc, prepared);
    }
    for (; row < nr; row += 4) {
        edgecall_product_q8_0<edgecall_interleaved_q8_0, 4>(n, s, bs, vx, vy, row, nc, prepared);
    }
}

void ggml_gemv_q8_0_4x8_q8_0(int n, float * GGML_RESTRICT s, size_t bs, const void * GGML_RESTRICT vx,
                             const void * GGML_RESTRICT vy, int nr, int nc) {
    std::vector<edgecall_q8_0_block> prepared;
    switch (nr) {
        case 1: return edgecall_product_q8_0<edgecall_plain_q8_0, 1>(n, s, bs, vx, vy, 0, nc, prepared);
        case 2: return edgecall_product_q8_0<edgecall_plain_q8_0, 2>(n, s, bs, vx, vy, 0, nc, prepared);
        case 3: return edgecall_product_q8_0<edgecall_plain_q8_0, 3>(n, s, bs, vx, vy, 0, nc, prepared);
        default: GGML_ABORT("gemv of %d tokens", nr);
    }
}
