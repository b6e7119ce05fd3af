// The one function that ggml's registry asks for its CPU kernels. ggml's own is left out of the program, since this one
// comes first; which kernels it gives is decided before it is called first.

struct ggml_backend_reg;

typedef struct ggml_backend_reg * (*edgecall_kernels)(void);

// Those that run on every CPU that this build is for; a macro of the build script.
struct ggml_backend_reg * EDGECALL_LOWEST_KERNELS(void);

static edgecall_kernels chosen = EDGECALL_LOWEST_KERNELS;

void edgecall_choose_kernels(edgecall_kernels kernels) { chosen = kernels; }

struct ggml_backend_reg * ggml_backend_cpu_reg(void) { return chosen(); }
