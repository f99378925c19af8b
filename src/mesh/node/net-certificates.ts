import type { FakeAuthority, FakeIdentity } from '#mesh/linkstate/fake-network.ts';

export interface NetCertificate {
  readonly identity: FakeIdentity;
  /** Unix milliseconds. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** For tests only: the present certificate of each node, with a life or without an end. */
export class NetCertificates {
  readonly #authority: FakeAuthority;
  readonly #lifeMs: number | undefined;
  readonly #present = new Map<string, NetCertificate>();

  constructor(authority: FakeAuthority, lifeMs: number | undefined) {
    this.#authority = authority;
    this.#lifeMs = lifeMs;
  }

  issue(name: string, wallMs: number): void {
    const notAfterMs = this.#lifeMs === undefined ? Number.MAX_SAFE_INTEGER : wallMs + this.#lifeMs;
    const identity = this.#authority.issue(name, notAfterMs);
    this.#present.set(name, { identity, notBeforeMs: this.#lifeMs === undefined ? 0 : wallMs, notAfterMs });
  }

  of(name: string): NetCertificate {
    const certificate = this.#present.get(name);
    if (certificate === undefined) throw new Error(`no certificate of ${name}`);
    return certificate;
  }
}
