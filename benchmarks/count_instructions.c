/* Counts the instructions in a log of QEMU (-d in_asm,exec,nochain) on standard input, in segments:
 *
 *   count_instructions [MARKER...]
 *
 * A marker is an address of the program, in hexadecimal. A segment begins with the block that starts there; with a +
 * after the address, with what follows the block that ends with the instruction there, such as a call. Without markers
 * all is one segment. A block is a straight run of instructions; the log lists each once, and names it whenever it is
 * executed. Prints for each segment its marker ("start" for the first), and for each block that it executes the
 * address, how often, and the instructions; in the end the number of all instructions:
 *
 *   segment MARKER
 *   ADDRESS EXECUTIONS INSTRUCTION...
 *   total N
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kBuckets = 1 << 20, kMostWords = 1 << 12 };

typedef struct block {
  unsigned long long host, address, executions; /* executions in this segment */
  size_t count;
  unsigned* words; /* the instructions */
} block;

static block blocks[kBuckets];   /* by the address of the translation, which is never 0 */
static block* touched[kBuckets]; /* those that this segment executes */
static size_t touched_count;
static unsigned long long total;

static block* find(unsigned long long host) {
  size_t at = (host >> 5) * 0x9e3779b97f4a7c15u >> 44;
  while (blocks[at].host && blocks[at].host != host) at = (at + 1) % kBuckets;
  return &blocks[at];
}

static void print_block(block* each) {
  size_t i;
  if (!each->executions) return;
  printf("%llx %llu", each->address, each->executions);
  for (i = 0; i < each->count; ++i) printf(" %08x", each->words[i]);
  putchar('\n');
  total += each->count * each->executions;
  each->executions = 0;
}

static void print_blocks(void) {
  size_t i;
  for (i = 0; i < touched_count; ++i) print_block(touched[i]);
  touched_count = 0;
}

static void begin(const char* marker) {
  print_blocks();
  printf("segment %s\n", marker);
}

int main(int count, char** markers) {
  static char line[1 << 16];
  static char buffer[1 << 20];
  static unsigned words[kMostWords];
  unsigned long long last = 1; /* the address of the last instruction; none is at 1 */
  size_t listed = 0;
  int i;
  setvbuf(stdin, buffer, _IOFBF, sizeof buffer);
  begin("start");
  while (fgets(line, sizeof line, stdin)) {
    char *next = strchr(line, ':'), *slash = strchr(line, '/');
    if (!strncmp(line, "0x", 2)) {
      if (!next || listed == kMostWords) return 1;
      words[listed++] = (unsigned)strtoul(next + 1, NULL, 16);
    } else if (!strncmp(line, "Trace ", 6)) {
      unsigned long long host, address;
      block* found;
      if (!next || !slash) return 1;
      host = strtoull(next + 1, NULL, 16);
      address = strtoull(slash + 1, NULL, 16);
      for (i = 1; i < count; ++i) {
        char* end;
        unsigned long long place = strtoull(markers[i], &end, 16);
        if (*end == '+' ? place == last : place == address) begin(markers[i]);
      }
      found = find(host);
      if (listed) { /* the first execution follows the listing; the place may have held another block before */
        print_block(found);
        free(found->words);
        *found = (block){host, address, 0, listed, malloc(listed * sizeof *words)};
        if (!found->words) return 3;
        memcpy(found->words, words, listed * sizeof *words);
        listed = 0;
      }
      if (!found->host) return 2;
      if (!found->executions) {
        if (touched_count == kBuckets) return 3;
        touched[touched_count++] = found;
      }
      ++found->executions;
      last = address + 4 * (found->count - 1);
    }
  }
  print_blocks();
  printf("total %llu\n", total);
  return 0;
}
