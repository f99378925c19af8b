import { Type } from 'typebox';
import { count, nextCursor, time } from './common.ts';

const sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });

/** What was signed last; nodes check it themselves. */
export const snapshotState = Type.Object({
  version: count,
  issuedAt: time,
  format: count,
  bodySha256: sha256,
  signerSha256: sha256,
  signature: Type.String({ description: 'ML-DSA-65 over the version, the hash of the body and the time; base64' }),
  body: Type.String({ description: 'as it was signed: msgpack, base64' }),
  holds: Type.Object({ nodes: count, services: count, forwards: count, policies: count, revocations: count }),
});

export const revocationList = Type.Object({
  revocations: Type.Array(Type.Object({ spiffeId: Type.String(), serial: Type.String(), epoch: count })),
  nextCursor,
});

const authority = Type.Object({ sha256, certificate: Type.String({ description: 'DER, base64' }) });
export const authorities = Type.Object({
  trustDomain: Type.String(),
  roots: Type.Array(authority),
  issuers: Type.Array(authority),
});

export const roleList = Type.Object({
  roles: Type.Array(
    Type.Object({
      role: Type.String(),
      any: Type.Array(Type.String(), { description: 'what it may do to any object' }),
      own: Type.Array(Type.String(), { description: 'what it may do besides, to its own objects only' }),
    }),
  ),
});
