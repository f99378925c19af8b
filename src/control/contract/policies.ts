import { type Static, Type } from 'typebox';
import { closed, count, nameParams, nextCursor, orNull, shortText, time } from './common.ts';

/** More than a policy may have, so that what is too large is told as that. */
const TEXT_LIMIT_CHARS = 40_000;
const EXPECTATION_LIMIT = 200;

export const policyParams = nameParams;
const text = Type.String({ maxLength: TEXT_LIMIT_CHARS, description: 'Cedar' });
const version = Type.Integer({ minimum: 0 });

export const policy = Type.Object({
  name: Type.String(),
  version,
  text: Type.String(),
  enabled: Type.Boolean(),
  deleted: Type.Boolean(),
  changedAt: time,
  changedBy: Type.String(),
});
export const policyList = Type.Object({ policies: Type.Array(policy), nextCursor });
export const policyVersions = Type.Object({ versions: Type.Array(policy) });

export const policySchema = Type.Object(
  {
    text,
    enabled: Type.Optional(Type.Boolean()),
    expectedVersion: Type.Optional(
      Type.Integer({ minimum: 0, description: 'the version that was seen; 0: there is none' }),
    ),
  },
  closed,
);
export type PolicyBody = Static<typeof policySchema>;
export const rollbackSchema = Type.Object({ version: Type.Integer({ minimum: 1 }) }, closed);

export const testSchema = Type.Object(
  {
    name: shortText,
    text,
    expectations: Type.Optional(
      Type.Array(Type.Object({ caller: shortText, service: shortText, allowed: Type.Boolean() }, closed), {
        maxItems: EXPECTATION_LIMIT,
      }),
    ),
  },
  closed,
);

const explanationMembers = {
  id: Type.String(),
  allowed: Type.Boolean(),
  principal: Type.String(),
  action: Type.String(),
  resource: Type.String(),
  snapshotVersion: count,
  decidedAt: time,
  summary: Type.String(),
  remedy: orNull(Type.String()),
  policies: Type.Array(Type.String()),
  near: Type.Array(
    Type.Object({
      policy: Type.String(),
      failed: Type.String(),
      attribute: orNull(Type.String()),
      actual: orNull(Type.String()),
    }),
  ),
  errors: Type.Array(Type.Object({ policy: Type.String(), message: Type.String() })),
  context: Type.Record(Type.String(), Type.Unknown()),
  groups: Type.Array(Type.String()),
};
export const explanation = Type.Object({
  ...explanationMembers,
  node: orNull(Type.String()),
  /** The decision as JSON, for making it again elsewhere; null where it is too long. */
  record: Type.Optional(orNull(Type.String())),
});
export const testAnswer = Type.Object({
  statements: count,
  passed: Type.Boolean(),
  results: Type.Array(Type.Object({ ...explanationMembers, expected: Type.Boolean() })),
});

export const dryRunSchema = Type.Object({ name: shortText, text: orNull(text) }, closed);
export const dryRunAnswer = Type.Object({
  closes: Type.Array(Type.Object({ caller: Type.String(), service: Type.String(), node: Type.String() })),
  /** Live streams of the nodes that answered. */
  streams: count,
  answered: Type.Array(Type.String()),
  unanswered: Type.Array(Type.Object({ node: Type.String(), code: Type.String() })),
});

export const decisionParams = Type.Object({ id: Type.String({ pattern: '^[0-9a-f]{32}$' }) }, closed);
export const couldQuery = Type.Object({ caller: shortText, service: shortText }, closed);
