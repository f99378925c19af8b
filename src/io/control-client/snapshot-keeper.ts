import { bytesEqual } from '#kernel/bytes.ts';
import { fail, ok } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';
import { RevocationSet } from '#trust/revocation.ts';
import { snapshotMessage, verifySnapshot } from '#trust/snapshot.ts';
import type { SnapshotBody, SnapshotHeader, SnapshotPorts, SnapshotRefusal } from '#trust/snapshot.ts';
import { certifiedIssuers } from '#io/x509-asn1/chain.ts';
import { snapshotPorts } from '#io/x509-asn1/snapshot-verifier.ts';

/** A snapshot that was believed, with what is needed to believe it again after a restart. */
export interface VerifiedSnapshot {
  readonly header: SnapshotHeader;
  readonly body: SnapshotBody;
  readonly bodyBytes: Uint8Array;
  readonly signer: Uint8Array;
}

export interface KeeperOptions {
  readonly trustDomain: string;
  readonly issuers: readonly Uint8Array[];
  readonly roots: readonly Uint8Array[];
  readonly wallMs: () => number;
  /** Each newer snapshot; `isNewBody` is false when only the time of signing is new. */
  readonly onBelieved: (snapshot: VerifiedSnapshot, isNewBody: boolean) => void;
}

/** Believes newer snapshots only, each under the issuers and revocations of the one before. */
export class SnapshotKeeper {
  readonly #options: KeeperOptions;
  #issuers: readonly Uint8Array[];
  #revocations = new RevocationSet([]);
  #current: VerifiedSnapshot | undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#issuers = options.issuers;
  }

  get current(): VerifiedSnapshot | undefined {
    return this.#current;
  }

  /** Whether a control plane of this mesh signed the header, whatever its body is. */
  isSigned(header: SnapshotHeader, signer: Uint8Array): boolean {
    return this.#ports(signer).verifySigner(
      header.signerHash,
      header.issuedAtMs,
      snapshotMessage(header),
      header.signature,
    );
  }

  /** `body` is absent when the sender says it is unchanged. */
  accept(
    header: SnapshotHeader,
    body: Uint8Array | undefined,
    signer: Uint8Array,
  ): Result<VerifiedSnapshot, SnapshotRefusal> {
    const bodyBytes = body ?? this.#current?.bodyBytes;
    if (bodyBytes === undefined) return fail('SNAPSHOT_WRONG_HASH');
    const { trustDomain, wallMs, roots } = this.#options;
    const verified = verifySnapshot(header, bodyBytes, this.#ports(signer), this.#current?.header);
    if (!verified.ok) return verified;
    if (verified.value.trustDomain !== trustDomain) return fail('SNAPSHOT_MALFORMED');
    const same = this.#current !== undefined && bytesEqual(this.#current.header.bodyHash, header.bodyHash);
    this.#current = { header, body: same && this.#current ? this.#current.body : verified.value, bodyBytes, signer };
    this.#revocations = new RevocationSet(verified.value.revocations);
    const issuers = certifiedIssuers(verified.value.issuers, roots, wallMs());
    if (issuers.length > 0) this.#issuers = issuers;
    this.#options.onBelieved(this.#current, !same);
    return ok(this.#current);
  }

  #ports(signer: Uint8Array): SnapshotPorts {
    const { trustDomain, wallMs } = this.#options;
    const isRevoked = this.#revocations.isRevoked.bind(this.#revocations);
    return snapshotPorts({ trustDomain, issuers: this.#issuers, signer, wallMs: wallMs(), isRevoked });
  }
}
