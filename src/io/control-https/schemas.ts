import { Type } from 'typebox';
import type { Static } from 'typebox';
import { TOKEN_LIMIT_CHARS } from '#trust/token.ts';

/** Base64 of the largest certificate request that is read. */
const CSR_LIMIT_CHARS = 22_000;
const closed = { additionalProperties: false };
const csr = Type.String({ minLength: 4, maxLength: CSR_LIMIT_CHARS });

export const enrolSchema = Type.Object(
  {
    token: Type.String({ minLength: 1, maxLength: TOKEN_LIMIT_CHARS + 1 }),
    csr,
    addresses: Type.Optional(Type.Array(Type.String({ maxLength: 300 }), { maxItems: 64 })),
  },
  closed,
);
export type EnrolBody = Static<typeof enrolSchema>;

export const csrSchema = Type.Object({ csr }, closed);
export type CsrBody = Static<typeof csrSchema>;

export const replySchema = Type.Object(
  {
    id: Type.String({ maxLength: 64 }),
    ok: Type.Optional(Type.Unknown()),
    error: Type.Optional(
      Type.Object(
        { code: Type.String({ pattern: '^[A-Z][A-Z0-9_]{0,63}$' }), message: Type.String({ maxLength: 512 }) },
        closed,
      ),
    ),
  },
  closed,
);
export type ReplyBody = Static<typeof replySchema>;
