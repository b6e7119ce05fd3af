// Notes that this program was started without a stdout (`>&-`). Rust's runtime opens /dev/null in its place before main,
// so it can only be seen earlier, by a constructor.

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

static bool is_closed = false;

__attribute__((constructor)) static void edgecall_look_at_stdout(void) {
    is_closed = fcntl(1, F_GETFD) == -1 && errno == EBADF;
}

bool edgecall_started_without_stdout(void) { return is_closed; }
