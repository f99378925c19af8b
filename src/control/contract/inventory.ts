import { Type } from 'typebox';
import { closed, count, nextCursor, orNull, shortText, time } from './common.ts';

export const tokenParams = Type.Object({ id: shortText }, closed);

/** Never with its secret. */
export const tokenList = Type.Object({
  tokens: Type.Array(
    Type.Object({
      id: Type.String(),
      node: Type.String(),
      relay: Type.Boolean(),
      labels: Type.Record(Type.String(), Type.String()),
      createdAt: time,
      expiresAt: time,
      usedAt: orNull(time),
    }),
  ),
  nextCursor,
});

export const certificateList = Type.Object({
  certificates: Type.Array(
    Type.Object({
      serial: Type.String(),
      node: Type.String(),
      spiffeId: Type.String(),
      issuedAt: time,
      notAfter: time,
      revokedEpoch: orNull(count),
    }),
  ),
  nextCursor,
});
