import { encodeJoinToken, parseJoinToken, TOKEN_PREFIX } from '#trust/token.ts';
import { check, checkSame, type FuzzTarget, textOf, utf8 } from '../fuzz-target.ts';

const TOKEN = encodeJoinToken({
  id: '0123456789abcdef',
  secret: new Uint8Array(32).fill(1),
  node: 'rome',
  addresses: ['192.0.2.1:8443'],
  rootSha256: new Uint8Array(32).fill(2),
  trustDomain: 'x0tta6bl4.mesh',
});

/** As text, and its msgpack before base64: mutations of the text hardly ever reach what is inside. */
export const joinToken: FuzzTarget = {
  name: 'join-token',
  corpus: () => [utf8(TOKEN), Uint8Array.fromBase64(TOKEN.slice(TOKEN_PREFIX.length), { alphabet: 'base64url' })],
  run(input) {
    const isText = input[0] === TOKEN_PREFIX.charCodeAt(0);
    const text = isText ? textOf(input) : TOKEN_PREFIX + input.toBase64({ alphabet: 'base64url', omitPadding: true });
    const read = parseJoinToken(text);
    if (!read.ok) return false;
    check(read.value.secret.byteLength === 32, 'a whole secret');
    checkSame(parseJoinToken(encodeJoinToken(read.value)), read, 'again');
    return true;
  },
};
