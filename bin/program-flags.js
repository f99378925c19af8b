// Flags of Node for the programs that carry traffic. Buffers of a data path die young but count as old memory: with Node's
// defaults the collector marks the whole heap for every few megabytes carried. A small nursery frees them, a generous
// first limit leaves the rest alone, and two cores have no room for the collector's helper threads (docs/decisions).
export const PROGRAM_FLAGS = [
  '--disable-warning=ExperimentalWarning',
  '--max-semi-space-size=1',
  '--initial-old-space-size=256',
  '--single-threaded-gc',
  '--expose-gc',
];

// One arena of glibc's allocator instead of one a thread.
export const PROGRAM_ENVIRONMENT = { MALLOC_ARENA_MAX: '1' };
