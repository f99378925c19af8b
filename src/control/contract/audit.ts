import { Type } from 'typebox';
import { closed, nextCursor } from './common.ts';

const hash = Type.String({ pattern: '^[0-9a-f]{64}$' });

const auditBody = Type.Object(
  {
    action: Type.String(),
    actor: Type.String(),
    atMs: Type.Integer(),
    detail: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
    outcome: Type.Union([Type.Literal('done'), Type.Literal('denied'), Type.Literal('failed')]),
    target: Type.String(),
    traceId: Type.String(),
  },
  { ...closed, description: 'what `bodyHash` covers as canonical JSON' },
);

/** One entry of the log, as `x0 audit verify` reads it. */
export const auditEntry = Type.Object(
  { seq: Type.Integer({ minimum: 1 }), previousHash: hash, bodyHash: hash, body: auditBody },
  closed,
);
export const auditEntryList = Type.Object({ entries: Type.Array(auditEntry), nextCursor });

/** A checkpoint with the certificates of its signer and of that one's issuer, DER in Base64. */
export const auditCheckpoint = Type.Object(
  {
    seq: Type.Integer({ minimum: 1 }),
    hash,
    atMs: Type.Integer(),
    signerHash: hash,
    signature: Type.String(),
    signer: Type.String(),
    issuer: Type.String(),
  },
  closed,
);
export const auditCheckpointList = Type.Object({ checkpoints: Type.Array(auditCheckpoint), nextCursor });
