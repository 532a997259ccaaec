/* Counts the instructions in a log of QEMU (-d in_asm,exec,nochain) on standard input.
 *
 * Prints the total, and then for each block that was executed its address and its share: instructions times
 * executions. A block is a straight run of instructions; the log lists each once, and names it whenever it is executed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kBuckets = 1 << 20 };

typedef struct block {
  unsigned long long host, address, instructions, executions;
} block;

static block blocks[kBuckets]; /* by the address of the translation, which is never 0 */

static block* find(unsigned long long host) {
  size_t at = (host >> 5) * 0x9e3779b97f4a7c15u >> 44;
  while (blocks[at].host && blocks[at].host != host) at = (at + 1) % kBuckets;
  return &blocks[at];
}

int main(void) {
  static char line[1 << 16];
  static char buffer[1 << 20];
  unsigned long long listed = 0, total = 0, host, address;
  size_t at;
  setvbuf(stdin, buffer, _IOFBF, sizeof buffer);
  while (fgets(line, sizeof line, stdin)) {
    if (!strncmp(line, "0x", 2)) {
      ++listed;
    } else if (!strncmp(line, "Trace ", 6)) {
      char* next = strchr(line, ':');
      char* slash = strchr(line, '/');
      block* found;
      if (!next || !slash) return 1;
      host = strtoull(next + 1, NULL, 16);
      address = strtoull(slash + 1, NULL, 16);
      found = find(host);
      if (listed) { /* the first execution follows the listing; the place may have held another block before */
        total += found->instructions * found->executions;
        if (found->host) printf("%llx %llu\n", found->address, found->instructions * found->executions);
        *found = (block){host, address, listed, 0};
        listed = 0;
      }
      if (!found->host) return 2;
      ++found->executions;
    }
  }
  for (at = 0; at < kBuckets; ++at) {
    if (!blocks[at].host) continue;
    total += blocks[at].instructions * blocks[at].executions;
    printf("%llx %llu\n", blocks[at].address, blocks[at].instructions * blocks[at].executions);
  }
  printf("total %llu\n", total);
  return 0;
}
