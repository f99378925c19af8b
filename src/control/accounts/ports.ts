import type { RandomSource } from '#kernel/random.ts';
import type { WallClock } from '#control/ports.ts';
import type { SharedState } from '#control/shared.ts';
import type { AccountStore } from './store.ts';

/** Hashes passwords, one at a time. Undefined when too many wait. */
export interface PasswordPort {
  hash(password: string): Promise<string | undefined>;
  /** Takes as long where there is no hash to compare with, and is false then. */
  verify(password: string, hash: string | undefined): Promise<boolean | undefined>;
}

export type AccountSharing = Pick<SharedState, 'increment' | 'get' | 'set' | 'publish' | 'subscribe'>;

export interface AccountPorts {
  readonly store: AccountStore;
  readonly passwords: PasswordPort;
  readonly shared: AccountSharing;
  readonly random: RandomSource;
  readonly sha256: (bytes: Uint8Array) => Uint8Array;
  readonly wallMs: WallClock;
  /** Monotonic. */
  readonly nowMs: () => number;
}
