import { bytesEqual } from '#kernel/bytes.ts';
import type { SignedSnapshot } from '#trust/signed-snapshot.ts';

/** A node that starts anew without its control plane knows by so much less how old its snapshot is; a file that changes every half minute wears disks. */
const SAVE_AGAIN_MS = 5 * 60_000;

/** Keeps the believed snapshot on the disk: each new body, and the time of its signing now and then. */
export class KeptSnapshot {
  readonly #save: (snapshot: SignedSnapshot) => void;
  #last: SignedSnapshot | undefined;

  constructor(save: (snapshot: SignedSnapshot) => void) {
    this.#save = save;
  }

  handleBelieved(snapshot: SignedSnapshot): void {
    const last = this.#last?.header;
    const isSameBody = last !== undefined && bytesEqual(last.bodyHash, snapshot.header.bodyHash);
    if (isSameBody && snapshot.header.issuedAtMs - last.issuedAtMs < SAVE_AGAIN_MS) return;
    this.#last = snapshot;
    this.#save(snapshot);
  }
}
