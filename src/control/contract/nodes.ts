import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed, count, nextCursor, orNull, shortText, time } from './common.ts';

const optionalText = orNull(Type.String());
const drainState = Type.Union([Type.Null(), Type.Literal('draining'), Type.Literal('drained')]);

const peer = Type.Object({
  name: Type.String(),
  state: Type.String(),
  rttMs: orNull(Type.Number()),
  detector: Type.String(),
  group: Type.String(),
  signature: Type.String(),
  notAfter: Type.String(),
});

/** One node; fields are only ever added. */
export const nodeStatus = Type.Object({
  name: Type.String(),
  spiffeId: Type.String(),
  pid: orNull(Type.Integer()),
  relay: Type.Boolean(),
  state: Type.Union([Type.Literal('up'), Type.Literal('down')]),
  drain: drainState,
  revoked: Type.Boolean(),
  heardAt: orNull(time),
  listen: Type.Object({ link: optionalText, socks: optionalText, http: optionalText, admin: optionalText }),
  addresses: Type.Array(Type.String()),
  labels: Type.Record(Type.String(), Type.String()),
  links: orNull(Type.Array(Type.String())),
  serial: Type.String(),
  notAfter: time,
  peers: Type.Array(peer),
  services: Type.Array(Type.String()),
  counters: Type.Record(Type.String(), Type.Number()),
  problems: Type.Array(Type.Object({ code: Type.String(), message: Type.String() })),
  snapshotVersion: orNull(count),
  snapshotIssuedAt: orNull(time),
});

export const nodeList = Type.Object({ nodes: Type.Array(nodeStatus), nextCursor });
export const nodeRevoked = Type.Object({ name: Type.String(), revoked: Type.Literal(true) });

export const certificateParams = Type.Object({ name: shortText, serial: shortText }, closed);
export const certificateState = Type.Object({ serial: Type.String(), revoked: Type.Boolean() });

/** Of a question to a node; a parameter that comes twice would be a list. */
export const questionSchema = Type.Object({ to: Type.Optional(shortText) }, closed);
export type QuestionQuery = Static<typeof questionSchema>;
/** A node's own answer. */
export const nodeAnswer = Type.Object({}, { additionalProperties: true, description: 'as the node said it' });

export const drainSchema = Type.Object({ graceSeconds: Type.Optional(Type.Number()) }, closed);
/** A body may be left out. */
export const drainBody = orNull(drainSchema);
export type DrainBody = Static<typeof drainSchema>;
export const drainAnswer = Type.Object({ name: Type.String() }, { additionalProperties: true });
export const undrainAnswer = Type.Object(
  { name: Type.String(), state: Type.Union([Type.Literal('up'), Type.Literal('down')]) },
  { additionalProperties: true },
);

export const tokenSchema = Type.Object(
  {
    node: shortText,
    labels: Type.Optional(Type.Record(Type.String({ maxLength: 128 }), Type.String({ maxLength: 128 }))),
    relay: Type.Optional(Type.Boolean()),
    links: Type.Optional(Type.Union([Type.Null(), Type.Array(shortText, { maxItems: 1_024 })])),
    ttlSeconds: Type.Optional(Type.Number()),
    approve: Type.Optional(Type.Boolean({ description: 'the node waits until somebody lets it in' })),
  },
  closed,
);
export type TokenBody = Static<typeof tokenSchema>;
export const tokenCreated = Type.Object({
  token: Type.String({ description: 'seen this one time' }),
  id: Type.String(),
  node: Type.String(),
  expiresAt: time,
});
