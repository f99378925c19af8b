import type { RandomSource } from '#kernel/random.ts';

/** A session, an API key, or an invitation. */
export type SecretKind = 's' | 'k' | 'i';

/** What is given to whoever may use it, once: `x0<kind>_<id>_<secret>`. */
export interface NewSecret {
  readonly id: string;
  readonly text: string;
  readonly secretHash: string;
}

export interface ParsedSecret {
  readonly kind: SecretKind;
  readonly id: string;
  readonly secretHash: string;
}

const ID_BYTES = 16;
const SECRET_BYTES = 32;
const FORM = /^x0([ski])_([0-9a-f]{32})_([0-9a-f]{64})$/;

interface SecretPorts {
  readonly random: RandomSource;
  readonly sha256: (bytes: Uint8Array) => Uint8Array;
}

/** A fresh secret; of `id` when it replaces another. */
export function makeSecret({ random, sha256 }: SecretPorts, kind: SecretKind, id?: string): NewSecret {
  const ownId = id ?? random.bytes(ID_BYTES).toHex();
  const secret = random.bytes(SECRET_BYTES);
  return { id: ownId, text: `x0${kind}_${ownId}_${secret.toHex()}`, secretHash: sha256(secret).toHex() };
}

/** Undefined for what never was a secret of ours. */
export function parseSecret(sha256: SecretPorts['sha256'], text: string): ParsedSecret | undefined {
  const [, kind, id, secret] = FORM.exec(text) ?? [];
  if (id === undefined || secret === undefined) return undefined;
  if (kind !== 's' && kind !== 'k' && kind !== 'i') return undefined;
  return { kind, id, secretHash: sha256(Uint8Array.fromHex(secret)).toHex() };
}
