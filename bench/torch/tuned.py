"""The environment in which PyTorch is fastest on CPU."""
import os
import sys

BLAS = "/usr/lib/x86_64-linux-gnu/openblas-openmp"


def tune(threads):
    """Runs this program again, once, in the tuned environment: BLAS on torch's own OpenMP pool (Debian's
    libopenblas0-openmp), an allocator that keeps its memory, huge pages for the heap. What the caller's
    environment sets for BLAS and glibc is left alone. Call it before torch is imported."""
    if os.environ.get("BENCH_TUNED"):
        return
    env = dict({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}, **os.environ)
    if os.path.isdir(BLAS):
        env.setdefault("LD_LIBRARY_PATH", BLAS)
    env.update(
        BENCH_TUNED="1",
        OMP_NUM_THREADS=str(threads),
        OPENBLAS_NUM_THREADS=str(threads),
        MALLOC_MMAP_THRESHOLD_=str(1 << 32),
        MALLOC_TRIM_THRESHOLD_=str(1 << 34),
        MALLOC_TOP_PAD_=str(1 << 26),
        MALLOC_ARENA_MAX="1",
    )
    os.execve(sys.executable, [sys.executable] + sys.argv, env)


def busy():
    """Seconds of CPU that the whole machine has used, time stolen by a hypervisor included."""
    f = [int(v) for v in open("/proc/stat").readline().split()[1:9]]
    return (sum(f) - f[3] - f[4]) / os.sysconf("SC_CLK_TCK")
