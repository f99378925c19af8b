import { Type } from 'typebox';
import type { Static } from 'typebox';

const closed = { additionalProperties: false };
/** Names, labels and addresses are judged by the control plane's own rules; these only bound what is read. */
const shortText = Type.String({ maxLength: 300 });

export const tokenSchema = Type.Object(
  {
    node: shortText,
    labels: Type.Optional(Type.Record(Type.String({ maxLength: 128 }), Type.String({ maxLength: 128 }))),
    relay: Type.Optional(Type.Boolean()),
    links: Type.Optional(Type.Union([Type.Null(), Type.Array(shortText, { maxItems: 1_024 })])),
    ttlSeconds: Type.Optional(Type.Number()),
  },
  closed,
);
export type TokenBody = Static<typeof tokenSchema>;

export const instanceSchema = Type.Object(
  { host: shortText, port: Type.Number(), proxyProtocol: Type.Optional(Type.Boolean()) },
  closed,
);
export type InstanceBody = Static<typeof instanceSchema>;

/** Of a question to a node; a parameter that comes twice would be a list. */
export const questionSchema = Type.Object({ to: Type.Optional(shortText) }, closed);
export type QuestionQuery = Static<typeof questionSchema>;

export const drainSchema = Type.Object({ graceSeconds: Type.Optional(Type.Number()) }, closed);
export type DrainBody = Static<typeof drainSchema>;

export const forwardSchema = Type.Object({ host: shortText, port: Type.Number() }, closed);
export type ForwardBody = Static<typeof forwardSchema>;
