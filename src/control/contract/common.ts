import { Type } from 'typebox';
import type { Static, TNull, TSchema, TUnion } from 'typebox';

/** `schema`, or null. */
export function orNull<T extends TSchema>(schema: T): TUnion<[TNull, T]> {
  return Type.Union([Type.Null(), schema]);
}

/** Nothing but what is named. */
export const closed = { additionalProperties: false };

/** Names, labels and addresses are judged by the control plane's own rules; this only bounds what is read. */
export const shortText = Type.String({ maxLength: 300 });
/** ISO 8601. */
export const time = Type.String({ format: 'date-time' });
export const count = Type.Integer({ minimum: 0 });

/** What every error of the API is. */
export const errorEnvelope = Type.Object(
  {
    error: Type.Object(
      {
        code: Type.String({ pattern: '^[A-Z][A-Z0-9_]*$', description: 'stable; see docs/reference/errors.md' }),
        message: Type.String(),
        details: Type.Optional(
          Type.Object({}, { additionalProperties: true, description: 'what is wrong where; depends on the code' }),
        ),
        traceId: Type.String(),
      },
      closed,
    ),
  },
  { ...closed, $id: 'ErrorEnvelope' },
);

export const PAGE_LIMIT_MOST = 200;
const CURSOR_LIMIT_CHARS = 512;

/** Of a list: how much of it, from where. */
export const pageQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_LIMIT_MOST, default: PAGE_LIMIT_MOST })),
    cursor: Type.Optional(
      Type.String({ maxLength: CURSOR_LIMIT_CHARS, description: '`nextCursor` of the page before' }),
    ),
  },
  closed,
);
export type PageQuery = Static<typeof pageQuery>;

/** Opaque; null on the last page. */
export const nextCursor = Type.Union([Type.Null(), Type.String()]);
export const nameParams = Type.Object({ name: shortText }, closed);
/** Where nothing is said in return. */
export const nothing = Type.Null({ description: 'no content' });
