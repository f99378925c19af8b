import { Type } from 'typebox';
import { closed, nextCursor, shortText, time } from './common.ts';

export const requestParams = Type.Object({ id: shortText }, closed);

/** Nodes that wait for a person. */
export const joinRequestList = Type.Object({
  requests: Type.Array(
    Type.Object({
      id: Type.String(),
      node: Type.String(),
      keySha256: Type.String({ description: 'of its public key; the node says the same in its log' }),
      addresses: Type.Array(Type.String()),
      askedAt: time,
      expiresAt: time,
    }),
  ),
  nextCursor,
});

export const joinDecided = Type.Object({
  id: Type.String(),
  state: Type.Union([Type.Literal('approved'), Type.Literal('denied')]),
});
