import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed, nextCursor, orNull, shortText } from './common.ts';

const instance = Type.Object({
  node: Type.String(),
  host: Type.String(),
  port: Type.Integer(),
  proxyProtocol: Type.Boolean(),
});
export const serviceStatus = Type.Object({
  name: Type.String(),
  nodes: Type.Array(Type.String()),
  instances: Type.Array(instance),
});
export const forwardStatus = Type.Object({
  node: Type.String(),
  service: Type.String(),
  host: Type.String(),
  port: Type.Integer(),
});
/** A page holds services by name, and the forwards that lead to the names of the page. */
export const serviceList = Type.Object({
  services: Type.Array(serviceStatus),
  forwards: Type.Array(forwardStatus),
  nextCursor,
});

export const instanceParams = Type.Object({ service: shortText, node: shortText }, closed);
export const instanceSchema = Type.Object(
  { host: shortText, port: Type.Number(), proxyProtocol: Type.Optional(Type.Boolean()) },
  closed,
);
export type InstanceBody = Static<typeof instanceSchema>;
/** Why a node was not asked whether it agrees; null when it was. */
const unchecked = orNull(Type.String());
export const instancePut = Type.Object({
  service: Type.String(),
  node: Type.String(),
  host: Type.String(),
  port: Type.Integer(),
  proxyProtocol: Type.Boolean(),
  unchecked,
  replaced: orNull(
    Type.Object({
      service: Type.String(),
      node: Type.String(),
      host: Type.String(),
      port: Type.Integer(),
      proxyProtocol: Type.Boolean(),
    }),
  ),
  loops: Type.Array(forwardStatus),
});

export const forwardParams = Type.Object({ name: shortText, service: shortText }, closed);
export const forwardSchema = Type.Object({ host: shortText, port: Type.Number() }, closed);
export type ForwardBody = Static<typeof forwardSchema>;
export const forwardPut = Type.Object({
  node: Type.String(),
  service: Type.String(),
  host: Type.String(),
  port: Type.Integer(),
  unchecked,
});
