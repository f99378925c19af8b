import { expect, test } from 'vitest';
import { openFailure } from './open-failure.ts';

const CASES: readonly (readonly [string, number, number, readonly string[]])[] = [
  ['what is not allowed', 2, 403, ['ADDRESS_NOT_MESH', 'TARGET_NOT_ALLOWED']],
  ['a service that nobody knows', 4, 404, ['SERVICE_UNKNOWN']],
  ['the lack of a way', 3, 503, ['NO_PATH', 'CIRCUIT_NO_LINK', 'TUNNEL_TIMEOUT']],
  ['a way that broke, or drains, meanwhile', 3, 503, ['LINK_LOST', 'PATH_LOST', 'TUNNEL_DRAINING']],
  ['a node that drains', 3, 503, ['NODE_DRAINING']],
  ['a service that is not published there any more', 4, 503, ['SERVICE_NOT_HERE']],
  [
    'a limit of streams',
    1,
    503,
    ['STREAM_CAP', 'STREAM_IDS_EXHAUSTED', 'OPEN_RATE', 'CONDUIT_CAP', 'WINDOWS_EXHAUSTED'],
  ],
  ['a limit of ways', 1, 503, ['CIRCUIT_CAP', 'HANDSHAKE_CAP', 'TUNNEL_BACKLOG']],
  ['a target that refuses', 5, 502, ['TARGET_REFUSED']],
  ['a target that cannot be reached', 4, 502, ['TARGET_UNREACHABLE', 'TARGET_UNKNOWN_HOST']],
  ['a target that does not answer', 6, 504, ['TARGET_TIMEOUT']],
  ['what the protocols have no word for', 1, 502, ['CERT_REVOKED', 'INTERNAL']],
];

test.each(CASES)('%s is SOCKS5 reply %i and HTTP status %i', (_what, socksReply, httpStatus, codes) => {
  for (const code of codes) expect([code, openFailure(code)]).toEqual([code, { socksReply, httpStatus }]);
});
