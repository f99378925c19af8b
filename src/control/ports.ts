import type { Result } from '#kernel/result.ts';

/** A certificate as it was issued. Times are Unix epoch milliseconds. */
export interface IssuedCertificate {
  readonly der: Uint8Array;
  readonly serial: string;
  readonly notAfterMs: number;
}

/** A request whose signature proved the key; it can be given exactly the identity that the control plane decides. */
export interface ProvenRequest {
  /** SHA-256 of the public key, lower-case hex. */
  readonly keyHash: string;
  sign(spiffeId: string, name: string, wallMs: number): Promise<IssuedCertificate>;
}

export interface CertificatePort {
  openRequest(csr: Uint8Array): Promise<Result<ProvenRequest, 'CSR_UNREADABLE' | 'CSR_WRONG_KEY' | 'CSR_NO_PROOF'>>;
}

/** Unix epoch milliseconds. */
export type WallClock = () => number;

export interface HashPort {
  readonly sha256: (bytes: Uint8Array) => Uint8Array;
}

export interface SigningPort {
  /** SHA-256 of the signer's certificate. */
  readonly signerHash: Uint8Array;
  readonly signerCertificate: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
}
