import { Type } from 'typebox';
import { count, orNull, time } from './common.ts';
import { nodeStatus } from './nodes.ts';
import { forwardStatus, serviceStatus } from './services.ts';

/** The whole mesh at a glance; fields are only ever added. */
export const status = Type.Object({
  nodes: Type.Array(nodeStatus),
  services: Type.Array(serviceStatus),
  forwards: Type.Array(forwardStatus),
  control: Type.Object(
    {
      pid: Type.Integer(),
      trustDomain: Type.String(),
      enrolment: Type.String(),
      admin: Type.String(),
      rootSha256: Type.String(),
      refused: Type.Record(Type.String(), count),
      strangers: Type.Object({ open: count, refused: count }),
      snapshot: Type.Object({ version: count, issuedAt: orNull(time), revocationEpoch: count }),
    },
    { additionalProperties: true },
  ),
});

export const version = Type.Object({
  name: Type.Literal('x0tta6bl4'),
  version: Type.String(),
  api: Type.Literal('v1'),
});
