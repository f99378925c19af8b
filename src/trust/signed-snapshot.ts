import type { SnapshotHeader, SnapshotMark } from '#trust/snapshot.ts';

/** A snapshot with all that is needed to believe it: what the control plane sends, neighbours pass on and a disk keeps. */
export interface SignedSnapshot {
  readonly header: SnapshotHeader;
  /** As it was encoded by who signed; its SHA-256 is the header's `bodyHash`. */
  readonly body: Uint8Array;
  /** DER of the certificate that signed; its SHA-256 is the header's `signerHash`. */
  readonly signer: Uint8Array;
}

/** Whether `mark` says more than `last` does: a later version, or the same one signed later. */
export function isNewerSnapshot(mark: SnapshotMark, last: SnapshotMark | undefined): boolean {
  if (last === undefined || mark.version > last.version) return true;
  return mark.version === last.version && mark.issuedAtMs > last.issuedAtMs;
}
