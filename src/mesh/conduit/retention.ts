import { LARGEST_WINDOW_BYTES } from '#mesh/mux/window-pool.ts';

/** No receiver with a window of the largest size leaves more than that and an eighth unacknowledged. */
export const MAX_RETAINED_BYTES = 2 * LARGEST_WINDOW_BYTES;
/** Of all conduits with one peer: what is under way in its tunnels, and what it has not yet acknowledged. */
const MAX_PEER_RETAINED_BYTES = 4 * MAX_RETAINED_BYTES;
/** With all peers together. */
export const MAX_ALL_RETAINED_BYTES = 2 * MAX_PEER_RETAINED_BYTES;
/** What each conduit may have under way beyond these limits: the answer to it lets it go on. */
export const LEAST_RETAINED_BYTES = 4_096;

/** What the conduits with one peer retain for it together. */
export class Retention {
  /** Conduits that count here. */
  users = 0;
  readonly #all: { bytes: number };
  #bytes = 0;

  /** `all`: what is retained for all peers. */
  constructor(all = { bytes: 0 }) {
    this.#all = all;
  }

  get isOver(): boolean {
    return this.#bytes >= MAX_PEER_RETAINED_BYTES || this.#all.bytes >= MAX_ALL_RETAINED_BYTES;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    this.#all.bytes += bytes;
  }
}
