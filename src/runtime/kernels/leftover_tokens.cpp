// gemm takes tokens by fours. Where gemv takes up to three together (vnni.cpp), those that are left over are given to it at
// once, so that their weights are unpacked once; the build script puts this before ggml's loop, which gives them one by one.
        constexpr bool takes_several = INTER_SIZE == 8 &&
            ((NB_COLS == 8 && std::is_same<BLOC_TYPE, block_q4_K>::value) ||
             (NB_COLS == 8 && std::is_same<BLOC_TYPE, block_q6_K>::value) ||
             (NB_COLS == 4 && std::is_same<BLOC_TYPE, block_q8_0>::value));
        if (takes_several && nrows % 4 != 0) {
            const int64_t first = nrows - nrows % 4;
            gemv<BLOC_TYPE, INTER_SIZE, NB_COLS, PARAM_TYPE>(ne00, (float *) (dst_ptr + first * nb1) + src0_start, nb1 / nb0,
                                                             src0_ptr + src0_start * nb01,
                                                             src1_ptr + src1_col_stride * first, nrows % 4, ncols);
            return;
        }
